"""Finds what the references of a JSON Schema refer to, inside the document alone.

Source: draft 2020-12, core, sections 8 and 9; drafts up to 7 write anchors as `$id`, and those
up to 4 write `id`.
"""

from collections import Counter
from collections.abc import Iterator
from urllib.parse import unquote, urljoin

from expert.grammar.schema import keywords


class Index:
    """Where the identifiers inside a document lead; *keys* are the names of all its members."""

    def __init__(self, schema: object, draft: int, keys: set[str]) -> None:
        self._draft = draft
        self._root = schema
        self._resources: dict[str, object] = {"": schema}
        self._anchors: dict[str, tuple[object, str]] = {}
        self._dynamic: Counter[str] = Counter()
        self._key = "id" if draft <= 4 else "$id"
        named = keys & {self._key, "$anchor", "$dynamicAnchor", "$recursiveAnchor"}
        pending = [(schema, self.base(schema, ""))] if named else []
        while pending:
            raw, base = pending.pop()
            for child in _children(raw):
                inner = self.base(child, base)
                self._note(child, inner, base)
                pending.append((child, inner))
        self._resources.setdefault(self.base(schema, ""), schema)
        self._note(schema, self.base(schema, ""), "")

    def _note(self, raw: object, base: str, outer: str) -> None:
        if not isinstance(raw, dict):
            return
        if base != outer:
            self._resources.setdefault(base, raw)
        named = raw.get(self._key)
        if self._draft <= 7 and isinstance(named, str) and "#" in named:
            self._anchors.setdefault(_join(base, "#" + named.partition("#")[2]), (raw, base))
        for keyword in ("$anchor", "$dynamicAnchor"):
            if self._draft > 7 and isinstance(raw.get(keyword), str):
                self._anchors.setdefault(f"{base}#{raw[keyword]}", (raw, base))
        for keyword in ("$dynamicAnchor", "$recursiveAnchor"):
            if raw.get(keyword):
                self._dynamic[keyword + str(raw[keyword])] += 1

    def is_dynamic(self, keyword: str, reference: str) -> bool:
        """Tell whether it depends on the way to a reference what it leads to."""
        if keyword == "$recursiveRef":
            return self._dynamic["$recursiveAnchorTrue"] > 1
        anchor = reference.partition("#")[2]
        return keyword == "$dynamicRef" and self._dynamic["$dynamicAnchor" + anchor] > 1

    def base(self, raw: object, base: str) -> str:
        """Return the base URI inside *raw*."""
        if not isinstance(raw, dict) or (self._draft <= 7 and "$ref" in raw):
            return base
        named = raw.get(self._key)
        if not isinstance(named, str) or named.startswith("#"):
            return base
        return _join(base, named).partition("#")[0]

    def find(self, reference: str, base: str) -> tuple[object, str, str] | None:
        """Return the schema that *reference* leads to, its base and a name; None if nowhere."""
        uri = _join(base, reference)
        if uri in self._anchors:
            return *self._anchors[uri], uri
        resource, _, fragment = uri.partition("#")
        if resource not in self._resources:
            return None
        found, inner = self._resources[resource], resource
        for part in unquote(fragment).split("/")[1:] if fragment else []:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            else:
                return None
            inner = self.base(found, inner)
        return (found, inner, uri) if not fragment or fragment.startswith("/") else None


def _join(base: str, reference: str) -> str:
    if reference.startswith("#"):
        return base.partition("#")[0] + (reference if reference != "#" else "")
    try:
        return urljoin(base, reference)
    except ValueError:  # no URI at all, such as http://[
        return reference.partition("#")[0]


def _children(raw: object) -> Iterator[object]:
    """Yield the schemas directly inside *raw*."""
    for keyword, value in raw.items() if isinstance(raw, dict) else ():
        if keyword in keywords.NAMED_SCHEMAS:
            yield from value.values() if isinstance(value, dict) else ()
        elif isinstance(value, list) and keyword in keywords.SCHEMAS:
            yield from value
        elif keyword in keywords.SCHEMA or keyword in keywords.SCHEMAS:
            yield value
