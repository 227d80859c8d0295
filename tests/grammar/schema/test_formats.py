"""Formats are those of their RFCs, judged by Python's own parsers where it has them."""

import ipaddress
import random
import uuid
from collections.abc import Callable
from datetime import date, datetime
from importlib import import_module
from typing import Any

import pytest

from expert.grammar.schema.formats import FORMATS
from expert.grammar.schema.idn import is_idn_hostname, is_label
from expert.grammar.schema.names import FORMAT_PATTERNS
from expert.grammar.schema.patterns import search, to_engine_syntax
from expert.grammar.schema.smallest import _FORMATS as SAMPLES

# Format, texts that have it, texts that have not.
CASES: dict[str, tuple[list[str], list[str]]] = {
    "date": (
        ["2024-02-29", "0001-01-01", "9999-12-31"],
        ["2023-02-29", "2024-13-01", "2024-1-1", "20240101", "2024-W01-1", "2024-01-01T",
        "٢٠٢٤-01-01"],
    ),
    "time": (
        ["00:00:00Z", "23:59:59.123z", "12:00:00+05:30", "23:59:60Z", "00:59:60+01:00",
        "22:59:60-01:00"],
        ["24:00:00Z", "12:60:00Z", "12:00:00", "12:00Z", "12:00:00+24:00", "12:00:60Z",
        "12:00:00.Z",
         "23:59:60+01:00", "1:00:00Z", "12:00:00 Z"],
    ),
    "date-time": (
        ["2024-02-29T12:00:00Z", "1985-04-12t23:20:50.52z"],
        ["2024-02-29 12:00:00Z", "2024-02-30T12:00:00Z", "2024-02-29T12:00:00", "2024-02-29",
        "T12:00:00Z"],
    ),
    "duration": (
        ["P1D", "P4Y", "PT1H", "P1Y2M3DT4H5M6S", "P2W", "PT36H", "P1YT1S", "PT0S"],
        ["P", "PT", "1D", "P1DT", "P1H", "PT1D", "P1W2D", "P1Y2W", "P1D2H", "PT1S1M", "p1d",
        "P1.5D"],
    ),
    "email": (
        ["a@b", "joe.bloggs@example.com", '"joe bloggs"@example.com', "a@[127.0.0.1]",
         "a@[IPv6:::1]", "te~st@x.y", "a+b@c.de"],
        ["a", "@b", "a@", ".a@b", "a.@b", "a..b@c", "a b@c", "a@b c", "a@[::1]", "a@[127.0.0.300]",
         'a"b@c', "a@-b"],
    ),
    "hostname": (
        ["a", "example.com", "xn--bcher-kva.example", "a-b.c1", "1and1.de", "a" * 63],
        ["", "-a", "a-", "a_b", "a..b", ".a", "a.", "a b", "é.de", "a" * 64, "xn--a",
        "a--b".replace("a-", "ab-"),
         ".".join(["a" * 63] * 4)],
    ),
    "ipv4": (["0.0.0.0", "255.255.255.255", "1.2.3.4"],
             ["256.0.0.1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.4\n", "1.2.3.", "0x1.2.3.4",
             "١.2.3.4"]),
    "ipv6": (["::", "::1", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4", "fe80::a"],
             [":", "1::2::3", "12345::", "::1%eth0", "1:2:3:4:5:6:7", "::1.2.3.300", " ::1"]),
    "uuid": (["2eb8aa08-aa98-11ea-b4aa-73b441d16380", "2EB8AA08-AA98-11EA-B4AA-73B441D16380"],
             ["2eb8aa08aa9811eab4aa73b441d16380", "{2eb8aa08-aa98-11ea-b4aa-73b441d16380}",
              "2eb8aa08-aa98-11ea-b4aa-73b441d1638g", "2eb8-aa08-aa98-11ea-b4aa73b44-1d16380"]),
    "uri": (["http://a/b?c#d", "a:b", "urn:isbn:0451450523", "mailto:a@b", "http://[::1]:80/",
             "ldap://[2001:db8::7]/c=GB?objectClass?one", "http://u:p@h", "tel:+1-816",
             "file:///x"],
            ["", "//a", "/a", "a", ":a", "1a:b", "http://a b", "http://[::1", "http:// a",
            "a:b#c#d",
             "http://a%2", "http://a\\b", "http://é", "http://a@b@c", "http://a:x/",
             "http://a/[b]"]),
    "uri-reference": (["", "a", "/a", "//a/b", "#f", "?q", "a/b:c", "./a:b"],
                      ["a b", "#a#b", "\\\\x", "1:b", "%", "é"]),
    "iri": (["http://é.de/ü?ö", "a:日"], ["é", "http://a b", "http://é\ue000"]),
    "iri-reference": (["é", "/日?x#ö", "?\ue000", "?\ue000#ö"], ["\\é", "é\ue000", "#\ue000",
    "#?\ue000"]),
    "uri-template": (["", "a", "{x}", "http://a/{b,c}{?d*}{#e:3}", "{+x.y}", "%20{x}"],
                     ["{", "}", "{}", "{x", "{x:0}", "{x:10000}", "a b", "{x}{", "%2", "{x*:3}"]),
    "json-pointer": (["", "/", "/a/~0~1", "//", "/é"], ["a", "/~", "/~2", "#/a", "/a~"]),
    "relative-json-pointer": (["0", "1/a", "10#", "0/"], ["", "01", "-1", "a", "0##", "1#/a",
    "/a"]),
    "regex": (["^a$", ""], ["(", "[a"]),
    "idn-email": (["é@日本.jp", "a@b"], ["@b", "a@", "a b@c", "é"]),
    "idn-hostname": (["bücher.example", "日本。jp", "xn--bcher-kva", "a"], ["", "a..b", "-é", "é-",
    "a_b"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_has_a_format_and_what_has_not(name: str) -> None:
    """As the RFC says, also where Python's own parsers are more generous."""
    right, wrong = CASES[name]
    for text in right:
        assert FORMATS[name](text), text
    for text in wrong:
        assert not FORMATS[name](text), text


def test_every_format_has_cases() -> None:
    """None is checked without being tested."""
    assert set(CASES) == set(FORMATS)


def _reads(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def reads(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return True

    return reads


PEERS = {
    "date": (_reads(date.fromisoformat), "0123456789-", ["2024-02-29", "1999-12-31", "2023-02-28"]),
    "date-time": (
        _reads(datetime.fromisoformat), "0123456789-:TZ+.",
        ["2024-02-29T12:34:56Z", "2001-01-01T00:00:00+01:30"],
    ),
    "ipv4": (_reads(ipaddress.IPv4Address), "0123456789.", ["127.0.0.1", "255.10.99.0"]),
    "ipv6": (_reads(ipaddress.IPv6Address), "0123456789abcdef:.", ["::1", "1:2::7",
    "::ffff:1.2.3.4"]),
    "uuid": (_reads(uuid.UUID), "0123456789abcdefA-", ["2eb8aa08-aa98-11ea-b4aa-73b441d16380"]),
}  # fmt: skip


@pytest.mark.parametrize("name", PEERS)
def test_near_misses_are_told_apart_as_python_does(name: str) -> None:
    """Texts with one or two slips: what we accept Python's parser reads; IP addresses both ways."""
    reads, letters, starts = PEERS[name]
    draw, right = random.Random(3), 0
    for _ in range(1500):
        text = draw.choice(starts)
        for _ in range(draw.randint(0, 2)):
            place = draw.randrange(len(text) + 1)
            text = text[:place] + draw.choice([*letters, ""]) + text[place + draw.randint(0, 1) :]
        ours = FORMATS[name](text)
        assert not ours or reads(text), text
        if name.startswith("ip"):
            assert ours == reads(text), text
        right += ours
    assert right > 100


@pytest.mark.parametrize("name", sorted(FORMAT_PATTERNS))
def test_a_format_s_expression_matches_all_of_it(name: str) -> None:
    """The engine is given an expression that may match more, never less."""
    for text in CASES[name][0]:
        assert search(to_engine_syntax(FORMAT_PATTERNS[name]), text), text


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_samples_of_a_format_have_it(name: str) -> None:
    """What endings are made of is right itself."""
    assert all(FORMATS[name](sample) for sample in SAMPLES[name])


LABELS = [
    ("bücher", True), ("faß", True), ("σςσ", True), ("日本語", True), ("l·l", True), ("a·l", False),
    ("·l", False), ("l·", False), ("͵α", True), ("͵a", False), ("א׳", True), ("׳א", False),
    ("א״ב", True), ("カ・タ", True), ("a・b", False), ("・", False), ("क्\u200dष", True),
    ("क\u200d", False), ("\u200dक", False), ("क्\u200cष", True), ("الفا", True), ("اa", False),
    ("١۱", False), ("ب١", True), ("\u0301a", False), ("e\u0301", False), ("É", False),
    ("ａ", False),
    ("☃", False), ("a b", False), ("〱", False), ("ـا", False), ("ab--é", False), ("é" * 63, False),
    ("𐎀", True), ("\ud800", False), ("xn--bcher-kva", True), ("xn--bcher-kva8445foa", False),
    ("xn--", False), ("xn--a-", False), ("xn--bücher", False), ("XN--bcher-KVA", True),
]  # fmt: skip


@pytest.mark.parametrize(("label", "right"), LABELS)
def test_labels_of_internationalised_names(label: str, right: bool) -> None:
    """Code points, their contexts and directions: RFC 5892 and 5893, in doubt none."""
    assert is_label(label) is right


def test_what_we_take_for_a_label_idna_takes_too() -> None:
    """Of random labels in many scripts none passes that the package `idna` refuses."""
    idna: Any = import_module("idna")
    draw, right = random.Random(8), 0
    blocks = [(0x61, 0x7A), (0xE0, 0x17F), (0x370, 0x3FF), (0x400, 0x45F), (0x5D0, 0x5F4)]
    blocks += [(0x620, 0x6FF), (0x900, 0x97F), (0x3041, 0x30FF), (0x4E00, 0x4E80), (0x20D0, 0x2100)]
    blocks += [(0x30, 0x39), (0x660, 0x669), (0x200C, 0x200D), (0xB7, 0xB7), (0x300, 0x320)]
    for _ in range(4000):
        some = draw.sample(blocks, draw.choice([1, 1, 2]))
        label = "".join(chr(draw.randint(*draw.choice(some))) for _ in range(draw.randint(1, 4)))
        if not is_label(label):
            continue
        right += 1
        encoded = idna.alabel(label) if not label.isascii() else label.encode()
        assert encoded and is_label(encoded.decode()), label
    assert right > 400


def test_single_characters_are_those_of_rfc_5892() -> None:
    """No code point of any plane passes alone that the tables of `idna` do not allow."""
    data: Any = import_module("idna.idnadata").codepoint_classes
    contain: Any = import_module("idna.intranges").intranges_contain
    kinds = ("PVALID", "CONTEXTJ", "CONTEXTO")
    points = [
        *range(0x80, 0x3400),
        *range(0x3400, 0x32000, 19),
        *range(0xA960, 0xA980),
        *range(0xE0100, 0xE01F0),
    ]
    passed = [
        point for point in points if is_label(f"l{chr(point)}") and is_label("a" + chr(point))
    ]
    wrong = [point for point in passed if not any(contain(point, data[kind]) for kind in kinds)]
    assert len(passed) > 5000 and not wrong


def test_names_of_several_labels_and_directions() -> None:
    """Wide dots separate labels; beside a name from right to left none begins with a digit."""
    for text in ("例え。テスト", "a．b", "a｡b", "א.ב", "xn--4dbcagdahymbxekheh6e0a7fei0b.com"):
        assert is_idn_hostname(text), text
    for text in ("א.1a", "1a.א", "a。。b", "。", "a" * 64 + ".b", ".".join(["é" * 20] * 30)):
        assert not is_idn_hostname(text), text
