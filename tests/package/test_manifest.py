"""Manifests: what is read, what is refused, and that one content has one form."""

import json
import random
from typing import Any

import msgspec
import pytest

from expert.errors import VerificationError
from expert.package.codec import decode_draft, decode_manifest, encode_manifest, package_id
from expert.package.limits import LIMITS
from expert.package.manifest import Manifest
from expert.package.rules import references
from expert.package.text import inert
from support.packages import base, draft, encode, full_draft


def listed(manifest: dict[str, Any]) -> Manifest:
    """Return the manifest with its files, as packing would list them."""
    made = decode_draft(encode(manifest))
    files = [{"path": path, "size": 5, "sha256": "a" * 64} for path in references(made)]
    return msgspec.convert(msgspec.to_builtins(made) | {"files": files}, Manifest)


@pytest.mark.parametrize("manifest", [draft(), full_draft()], ids=["small", "full"])
def test_a_manifest_survives_the_round_trip(manifest: dict[str, Any]) -> None:
    """Reading the canonical form and writing it again gives the same bytes and the same value."""
    made = listed(manifest)
    data = encode_manifest(made)
    assert decode_manifest(data) == made
    assert encode_manifest(decode_manifest(data)) == data
    assert len(package_id(data)) == 64


def test_the_canonical_form_is_plain_sorted_json() -> None:
    """Anyone can make the canonical form with Python's own JSON module."""
    data = encode_manifest(listed(full_draft()))
    again = json.dumps(
        json.loads(data), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()
    assert again == data


def test_absent_fields_stay_absent() -> None:
    """Fields left at their defaults are not written, so new ones change no old hash."""
    assert set(json.loads(encode_manifest(listed(draft())))) == {
        "schema", "publisher", "name", "version", "summary", "license", "bases", "files",
    }  # fmt: skip


def test_the_list_of_files_is_what_the_fields_name() -> None:
    """Every file comes from a field, once, sorted."""
    assert [file.path for file in listed(full_draft()).files] == [
        "LICENSE.txt", "README.md", "adapter.gguf", "grammar.gbnf", "large.gguf", "prompt.gguf",
    ]  # fmt: skip


def _with_base(**adapter: Any) -> dict[str, Any]:
    return draft(bases=[base(**adapter)])


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "unknown field": (draft(code="import os"), "unknown field"),
    "missing field": (draft(name=None), "missing required field"),
    "wrong type": (draft(summary=7), "Expected `str`"),
    "no base": (draft(bases=[]), "length >= 1"),
    "publisher with a slash": (draft(publisher="a/b"), "matching regex"),
    "name with a capital": (draft(name="Sql"), "matching regex"),
    "name with a newline": (draft(name="sql\n"), "act on a terminal"),
    "version": (draft(version="1.0"), "is not a version"),
    "range": (draft(requires={"acme/json": "latest"}), "is not a version range"),
    "name of a requirement": (draft(requires={"json": "*"}), "matching regex"),
    "requires itself": (draft(requires={"acme/sql": "*"}), "names itself"),
    "conflicts with itself": (draft(conflicts={"acme/sql": "*"}), "names itself"),
    "escape sequence": (draft(summary="\x1b[2J"), "act on a terminal"),
    "C1 control": (draft(summary="a\x9b2J"), "act on a terminal"),
    "right-to-left override": (draft(description="gnp\u202e.exe"), "act on a terminal"),
    "tag characters": (draft(license="MIT\U000e0041"), "act on a terminal"),
    "line separator": (draft(description="a\u2028b"), "act on a terminal"),
    "newline in a line": (draft(summary="a\nb"), "act on a terminal"),
    "NUL": (draft(system_prompt="a\0b"), "act on a terminal"),
    "control in a key of extra": (draft(extra={"a\x07": 1}), "act on a terminal"),
    "control deep in extra": (draft(extra={"a": [{"b": "\r"}]}), "act on a terminal"),
    "summary too long": (draft(summary="a" * 201), "length <= 200"),
    "same base twice": (draft(bases=[base(), base("other")]), "same model"),
    "no adapter": (_with_base(file=None, rank=None, alpha=None), "neither a file nor"),
    "lora without rank": (_with_base(rank=None), "have a rank"),
    "ia3 with rank": (_with_base(kind="ia3"), "others have none"),
    "rank zero": (_with_base(rank=0), "`int` >= 1"),
    "alpha negative": (_with_base(alpha=-1.0), "> 0"),
    "answer without tokens": (_with_base(activation="answer"), "has invocation tokens"),
    "tokens at the prompt": (_with_base(invocation_tokens=[1]), "another has none"),
    "unknown kind": (_with_base(kind="merge"), "Invalid enum"),
    "pickle": (_with_base(file="adapter.bin"), "ends with .gguf"),
    "peft without config": (
        _with_base(file="a.safetensors", format="peft"),
        "a PEFT adapter has a config",
    ),
    "late with a system prompt": (
        _with_base(activation="answer", invocation_tokens=[1]) | {"system_prompt": "Hi."},
        "keeps the base's own prompt",
    ),
    "late with a soft prompt": (
        _with_base(activation="answer", invocation_tokens=[1], soft_prompt="s.gguf"),
        "cannot start at the answer",
    ),
    "grammar without file": (draft(grammar={"format": "gbnf"}), "needs a file"),
    "verbatim without sql": (
        draft(grammar={"format": "gbnf", "file": "g.gbnf", "verbatim": True}), "only for sql"
    ),
    "verbatim as a text": (draft(grammar={"format": "sql", "verbatim": "yes"}), "verbatim"),
    "grammar in a wrong file": (draft(grammar={"format": "gbnf", "file": "g.py"}), "ends with"),
    "document that is a program": (draft(documents=["setup.py"]), "ends with .md or .txt"),
    "upside-down interval": (
        draft(evaluation=[{"metric": "m", "dataset": "d", "samples": 1, "expert": 1.0}
                          | {"interval": [2.0, 1.0]}]),
        "upside down",
    ),
    "files in a draft": (
        draft(files=[{"path": "adapter.gguf", "size": 1, "sha256": "a" * 64}]), "leave it out"
    ),
    "huge number": (draft(extra={"a": 10**400}), "too large"),
}  # fmt: skip


@pytest.mark.parametrize(("manifest", "why"), WRONG.values(), ids=WRONG)
def test_a_wrong_manifest_is_refused_with_the_reason(manifest: dict[str, Any], why: str) -> None:
    """Each rule has its own reason, and the reason itself is safe to print."""
    # The standard library writes numbers that msgspec's encoder will not.
    with pytest.raises(VerificationError) as caught:
        decode_draft(json.dumps(manifest).encode())
    assert why in caught.value.why
    assert inert(str(caught.value), multiline=True)


@pytest.mark.parametrize(
    "path",
    [
        "../a.md", "/a.md", "a/../b.md", "./a.md", "a//b.md", "C:a.md", "C:\\a.md", "a\\b.md",
        "con.md", "CON.md", "docs/nul.txt", "com1.md", "lpt9.x.md", "a.md.", "dir./a.md", ".a.md",
        "-a.md", "a b.md", "é.md", "a\0.md", "a\n.md", "\u202edm.a.md", "a" * 78 + ".md", "~a.md",
        "a/.git/b.md", "$HOME.md", "a%2e.md",
    ],
)  # fmt: skip
def test_names_that_are_unsafe_somewhere_are_refused(path: str) -> None:
    """No name leaves the folder, names a device, or differs between systems."""
    with pytest.raises(VerificationError):
        decode_draft(json.dumps(draft(documents=[path])).encode())


@pytest.mark.parametrize("twins", [["a.md", "A.md"], ["A/b.md", "a/B.md"], ["a.md", "a.md/b.md"]])
def test_names_that_collide_are_refused(twins: list[str]) -> None:
    """Two names that one file system would fold into one are refused."""
    with pytest.raises(VerificationError, match="not valid") as caught:
        decode_draft(encode(draft(documents=twins)))
    assert "twin" in caught.value.why


DATA = encode_manifest(listed(draft()))
NOT_CANONICAL = {
    "space": DATA + b" ",
    "leading space": b" " + DATA,
    "byte order mark": b"\xef\xbb\xbf" + DATA,
    "duplicate key": DATA.replace(b'"name":', b'"name":"other","name":'),
    "escaped letter": DATA.replace(b"acme", b"\\u0061cme"),
    "escaped slash": DATA.replace(b"Apache-2.0", b"Apache\\/2.0"),
    "explicit default": DATA.replace(b'"license"', b'"homepage":null,"license"'),
    "float as integer": DATA.replace(b"32.0", b"32"),
    "float in another spelling": DATA.replace(b"32.0", b"32.00"),
    "exponent": DATA.replace(b"32.0", b"3.2e1"),
    "keys in another order": b'{"schema":1,' + DATA[1:].replace(b'"schema":1,', b""),
    "pretty": json.dumps(json.loads(DATA), indent=1).encode(),
}


@pytest.mark.parametrize("data", NOT_CANONICAL.values(), ids=NOT_CANONICAL)
def test_another_spelling_of_the_same_content_is_refused(data: bytes) -> None:
    """A package's manifest has exactly one encoding, so its hash names its content."""
    assert data != DATA
    with pytest.raises(VerificationError):
        decode_manifest(data)


HOSTILE = {
    "empty": b"",
    "not JSON": b"MZ\x90\x00",
    "a list": b"[]",
    "null": b"null",
    "not UTF-8": DATA.replace(b"acme", b"\xff\xfe\xfd\xfc"),
    "lone surrogate": DATA.replace(b"acme", b"\\ud800"),
    "nesting": b'{"schema":1,"extra":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "nesting just beyond": encode(draft(extra=json.loads('{"a":' * 17 + "1" + "}" * 17))),
    "digits": b'{"schema":' + b"9" * 5000 + b"}",
    "infinity": DATA.replace(b"32.0", b"1e999"),
    "NaN": DATA.replace(b"32.0", b"NaN"),
    "too large": b'{"schema":1,"summary":"' + b"a" * LIMITS.manifest + b'"}',
    "schema 0": DATA.replace(b'"schema":1', b'"schema":0'),
    "schema of text": DATA.replace(b'"schema":1', b'"schema":"1"'),
    "terminal escape in an unknown key": b'{"schema":1,"\\u001b]0;x\\u0007":1}',
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_bytes_are_refused(data: bytes) -> None:
    """Whatever the bytes are, the refusal is typed and safe to print."""
    for decode in (decode_manifest, decode_draft):
        with pytest.raises(VerificationError) as caught:
            decode(data)
        assert inert(str(caught.value), multiline=True)


def test_a_newer_schema_asks_for_an_update() -> None:
    """A manifest of a later schema says that Expert is too old, whatever else it holds."""
    with pytest.raises(VerificationError, match="schema 2") as caught:
        decode_manifest(b'{"schema":2,"whatever":[]}')
    assert caught.value.fix == "Update Expert."


def test_mutated_manifests_are_read_or_refused() -> None:
    """Random edits of a full manifest never raise anything but the typed refusal."""
    data = encode_manifest(listed(full_draft()))
    source = random.Random(3)
    for _ in range(20_000):
        mutated = bytearray(data)
        for _ in range(source.randrange(1, 4)):
            place = source.randrange(len(mutated))
            mutated[place : place + source.randrange(3)] = source.choice(
                [
                    b'"',
                    b"\\",
                    b"[",
                    b"{",
                    b"}",
                    b"9",
                    b"-",
                    b"e9",
                    b"null",
                    bytes([source.randrange(256)]),
                ]
            )
        try:
            manifest = decode_manifest(bytes(mutated))
        except VerificationError:
            continue
        assert encode_manifest(manifest) == mutated


FILES = {
    "not listed": [],
    "one too many": [
        {"path": "adapter.gguf", "size": 5, "sha256": "a" * 64},
        {"path": "zzz.gguf", "size": 5, "sha256": "a" * 64},
    ],
    "compressed without its hash": [
        {"path": "adapter.gguf", "size": 50, "sha256": "a" * 64}
        | {"encoding": "zstd", "stored_size": 5}
    ],
    "raw with a stored size": [
        {"path": "adapter.gguf", "size": 50, "sha256": "a" * 64, "stored_size": 50}
        | {"stored_sha256": "a" * 64}
    ],
    "bomb": [
        {"path": "adapter.gguf", "size": 5_000_000, "sha256": "a" * 64, "encoding": "zstd"}
        | {"stored_size": 20, "stored_sha256": "b" * 64}
    ],
    "compression that grows": [
        {"path": "adapter.gguf", "size": 50, "sha256": "a" * 64, "encoding": "zstd"}
        | {"stored_size": 50, "stored_sha256": "b" * 64}
    ],
    "larger than allowed": [{"path": "adapter.gguf", "size": 1 << 40, "sha256": "a" * 64}],
}


@pytest.mark.parametrize("files", FILES.values(), ids=FILES)
def test_a_wrong_list_of_files_is_refused(files: list[dict[str, Any]]) -> None:
    """The list is exactly the files the fields name, within the limits."""
    manifest = msgspec.convert(draft(files=files), Manifest)
    with pytest.raises(VerificationError, match="not valid"):
        decode_manifest(encode_manifest(manifest))
