"""The formats of JSON Schema that are checked; any other name is an annotation.

Source: draft 2020-12, validation vocabulary, section 7.3, and the RFCs it names.
"""

import ipaddress
import re
from collections.abc import Callable
from datetime import date

from expert.grammar.schema.idn import is_idn_hostname, is_label
from expert.grammar.schema.patterns import is_expression

_TIME = re.compile(
    r"([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(\.\d+)?(z|Z|[+-]([01]\d|2[0-3]):[0-5]\d)", re.ASCII
)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DURATION = re.compile(
    r"P(?:\d+W|(?:\d+Y(?:\d+M(?:\d+D)?)?|\d+M(?:\d+D)?|\d+D)(?:T_)?|T_)".replace(
        "T_", r"T(?:\d+H(?:\d+M(?:\d+S)?)?|\d+M(?:\d+S)?|\d+S)"
    ),
    re.ASCII,
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")
_RELATIVE_POINTER = re.compile(r"(?:0|[1-9][0-9]*)(?:#|(?:/(?:[^~/]|~[01])*)*)")
_URI_CHARS = r"A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;="
_URI = re.compile(rf"(?:[{_URI_CHARS}]|%[0-9A-Fa-f]{{2}})*")
_UCS_CHARS = "\u00a0-\ud7ff\uf900-\ufdcf\ufdf0-\uffef" + "".join(
    f"{chr(first)}-{chr((first | 0xFFFF) - 2)}"
    for first in (*range(0x10000, 0xE0000, 0x10000), 0xE1000)
)
_IRI = re.compile(rf"(?:[{_URI_CHARS}{_UCS_CHARS}]|%[0-9A-Fa-f]{{2}})*")
_PRIVATE = re.compile("[\ue000-\uf8ff\U000f0000-\U0010fffd]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_VARIABLE = r"V(?:\.V)*(?::[1-9]\d{0,3}|\*)?".replace("V", r"(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2})+")
_TEMPLATE = re.compile(
    r"(?:[^\x00-\x20\x7f\"%<>\\^`{|}]|%[0-9A-Fa-f]{2}|"
    rf"\{{[+#./;?&=,!@|]?{_VARIABLE}(?:,{_VARIABLE})*\}})*"
)


def _is_date(text: str) -> bool:
    try:
        return bool(_DATE.fullmatch(text)) and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _is_time(text: str) -> bool:
    found = _TIME.fullmatch(text)
    if not found or found[3] != "60":
        return bool(found)
    zone = found[5]
    minutes = 0 if zone in "zZ" else int(zone[1:3]) * 60 + int(zone[4:])
    minutes = -minutes if zone[0] == "-" else minutes
    return (int(found[1]) * 60 + int(found[2]) - minutes) % 1440 == 1439  # UTC 23:59:60 alone


def _is_date_time(text: str) -> bool:
    return text[10:11] in ("T", "t") and _is_date(text[:10]) and _is_time(text[11:])


def _is_hostname(text: str) -> bool:
    return text.isascii() and len(text) <= 253 and all(map(is_label, text.split(".")))


def _is_email(text: str) -> bool:
    local, at, domain = text.rpartition("@")
    if not at or not domain:
        return False
    if domain.startswith("["):
        literal = domain[1:-1]
        plain = literal.removeprefix("IPv6:")
        return domain.endswith("]") and (
            _is_ipv4(literal) or (plain != literal and _is_ipv6(plain))
        )
    if local.startswith('"'):
        return bool(re.fullmatch(r'"(?:[^"\\\r\n]|\\[\x20-\x7e])*"', local)) and _is_hostname(
            domain
        )
    atoms = re.fullmatch(r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*", local, re.ASCII)
    return bool(atoms) and _is_hostname(domain)


def _is_idn_email(text: str) -> bool:
    local, at, domain = text.rpartition("@")
    return bool(at and local) and " " not in local and is_idn_hostname(domain)


def _is_ipv4(text: str) -> bool:
    return bool(
        re.fullmatch(r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}", text, re.ASCII)
    ) and (not re.search(r"(?:^|\.)0\d", text))


def _is_ipv6(text: str) -> bool:
    try:
        return "%" not in text and bool(ipaddress.IPv6Address(text))
    except ValueError:
        return False


def _is_reference(text: str, allowed: re.Pattern[str]) -> bool:
    if not allowed.fullmatch(text) or text.count("#") > 1:
        return False
    rest = re.split("[?#]", text, maxsplit=1)[0]
    scheme = _SCHEME.match(rest)
    rest = rest[scheme.end() :] if scheme else rest
    if not scheme and ":" in rest.split("/", 1)[0]:
        return False
    if rest.startswith("//"):
        return _is_authority(rest[2:].split("/", 1)[0]) and "[" not in rest[2:].partition("/")[2]
    return not re.search(r"[\[\]]", text)


def _is_authority(text: str) -> bool:
    host = text.rpartition("@")[2]
    if text.count("@") > 1 or re.search(r"[\[\]]", text.rpartition("@")[0]):
        return False
    found = re.fullmatch(r"\[([^\[\]]*)\](:\d*)?|([^\[\]:]*)(:\d*)?", host, re.ASCII)
    if not found or not host.startswith("["):
        return bool(found)
    return _is_ipv6(found[1]) or found[1][:1] in ("v", "V")


def _is_iri_reference(text: str) -> bool:
    rest, end, fragment = text.partition("#")
    path, mark, query = rest.partition("?")
    return _is_reference(path + mark + _PRIVATE.sub("a", query) + end + fragment, _IRI)


FORMATS: dict[str, Callable[[str], bool]] = {
    "date": _is_date,
    "date-time": _is_date_time,
    "duration": lambda text: bool(_DURATION.fullmatch(text)),
    "email": _is_email,
    "hostname": _is_hostname,
    "idn-email": _is_idn_email,
    "idn-hostname": is_idn_hostname,
    "ipv4": _is_ipv4,
    "ipv6": _is_ipv6,
    "iri": lambda text: bool(_SCHEME.match(text)) and _is_iri_reference(text),
    "iri-reference": _is_iri_reference,
    "json-pointer": lambda text: bool(_POINTER.fullmatch(text)),
    "regex": is_expression,
    "relative-json-pointer": lambda text: bool(_RELATIVE_POINTER.fullmatch(text)),
    "time": _is_time,
    "uri": lambda text: bool(_SCHEME.match(text)) and _is_reference(text, _URI),
    "uri-reference": lambda text: _is_reference(text, _URI),
    "uri-template": lambda text: bool(_TEMPLATE.fullmatch(text)),
    "uuid": lambda text: bool(_UUID.fullmatch(text)),
}
"""By name: whether a string has the format."""
