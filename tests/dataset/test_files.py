"""Files of text with anything in them."""

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest
import zstandard

from expert.dataset import files
from expert.dataset.files import Found
from expert.dataset.reading import Source, places, read_rows
from expert.errors import NotFoundError, VerificationError

GOOD = b'{"prompt": "a", "answer": "b"}\n'


def found(path: Path, encoding: str = "utf-8") -> list[tuple[int, str]]:
    """Return the place and the problem of every row; none for good ones."""
    return [(place.number, place.problem) for place in places(Source(path, encoding=encoding))]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b'{"prompt": "caf\xe9", "answer": "b"}', "0xe9 is not UTF-8"),
        (b'{"prompt": "a\0", "answer": "b"}', "NUL"),
        (b'{"prompt": "a\\u0000", "answer": "b"}', "NUL"),
        (b'{"prompt": "a", "prompt": "c", "answer": "b"}', "'prompt' is there twice"),
        (b'{"prompt": "a", "answer": NaN}', "NaN"),
        (b'{"prompt": "a", "answer": "b"', "not JSON"),
        (b'["a", "b"]', "list, not an object"),
        (b"null", "NoneType"),
        (b"[" * 100_000, "nested"),
        (b'{"prompt": ' + b"9" * 5000 + b', "answer": "b"}', "not JSON"),
        (b'{"prompt": "a", "answer": "\\ud800"}', "half a Unicode"),
        (b"\xff\xfe\x00", "0xff"),
    ],
)
def test_a_bad_line_stays_one(bad: bytes, why: str, tmp_path: Path) -> None:
    """It is named with its number, and the lines around it are read."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD + b"\n" + bad + b"\n" + GOOD)
    (one, two, three) = found(path)
    assert one == (1, "")
    assert two[0] == 3
    assert why in two[1]
    assert three == (4, "")


def test_a_huge_line_is_never_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is longer than the limit is passed over piece by piece."""
    monkeypatch.setattr(files, "LONGEST", 1 << 16)
    path = tmp_path / "a.jsonl.zst"
    with path.open("wb") as file, zstandard.ZstdCompressor().stream_writer(file) as packed:
        packed.write(GOOD + b'{"prompt": "')
        for _ in range(1500):
            packed.write(b"x" * 100_000)
        packed.write(b'", "answer": "b"}\n' + GOOD)
    tracemalloc.start()
    result = found(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [number for number, _ in result] == [1, 2, 3]
    assert "more than 65,536 characters" in result[1][1]
    assert peak < 40e6  # of 150 MB


def test_line_ends_and_marks(tmp_path: Path) -> None:
    """A byte-order mark, CR LF, and separators of Unicode inside a line change nothing."""
    path = tmp_path / "a.jsonl"
    inside = '{"prompt": "a\u2028b\x85c", "answer": "b"}\r\n'.encode()
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace(b"\n", b"\r\n") + inside)
    assert [row.prompt for row in read_rows(Source(path))] == ["a", "a\u2028b\x85c"]


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252", "latin-1", "utf-8"])
def test_other_encodings(encoding: str, tmp_path: Path) -> None:
    """Named, they are read; a file that is not in them is refused as a whole."""
    path = tmp_path / "a.jsonl"
    path.write_bytes('{"prompt": "café", "answer": "b"}\n'.encode(encoding))
    (row,) = read_rows(Source(path, encoding=encoding))
    assert row.prompt == "café"


def test_a_wrong_encoding(tmp_path: Path) -> None:
    """UTF-16 without its name has a hint; with the wrong name it cannot be read."""
    path = tmp_path / "a.jsonl"
    path.write_bytes('{"prompt": "a", "answer": "b"}\n'.encode("utf-16-le"))
    assert "UTF-16" in found(path)[0][1]
    path.write_bytes(b"\x81\x8d\n")
    with pytest.raises(VerificationError, match="cannot be read"):
        found(path, "cp1252")


@pytest.mark.parametrize("kind", ["zst", "gz"])
def test_packed_files(kind: str, tmp_path: Path) -> None:
    """Read as they are, and refused when they are cut or are none."""
    path = tmp_path / f"a.jsonl.{kind}"
    pack = zstandard.ZstdCompressor().compress if kind == "zst" else gzip.compress
    raw = pack(GOOD * 5000)
    path.write_bytes(raw)
    assert len(found(path)) == 5000
    path.write_bytes(raw[: len(raw) // 2])
    with pytest.raises(VerificationError, match="cannot be read"):
        found(path)
    path.write_bytes(raw[:-1])
    with pytest.raises(VerificationError, match="cannot be read"):
        found(path)
    path.write_bytes(GOOD)
    with pytest.raises(VerificationError):
        found(path)


def test_frames_of_zstd_one_after_the_other(tmp_path: Path) -> None:
    """As `cat` makes them."""
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(zstandard.ZstdCompressor().compress(GOOD) * 3)
    assert len(found(path)) == 3


# Arrays -------------------------------------------------------------------------------------------


def array(path: Path, text: str) -> list[Found]:
    """Return the elements of an array in a file."""
    path.write_text(text, encoding="utf-8")
    with files.opened(path) as stream:
        return list(files.json_array(path, stream))


@pytest.mark.parametrize("size", [1, 3, 7, 64, 1 << 16])
def test_an_array_in_pieces(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the pieces end, the elements are those of `json.loads`."""
    monkeypatch.setattr(files, "CHUNK", size)
    values = [{"a": "x" * n, "b": [n, {"c": '"]}\\'}]} for n in range(60)]
    for indent in (None, 2):
        result = array(tmp_path / "a.json", json.dumps(values, indent=indent))
        assert [one.fields for one in result] == values
        assert [one.number for one in result] == list(range(1, 61))


def test_elements_that_are_no_objects(tmp_path: Path) -> None:
    """Each is a bad row of its own."""
    result = array(tmp_path / "a.json", '[{"a": 1}, "x", ["y"], {"b": 2}]')
    assert [one.problem for one in result] == [
        "", "it is str, not an object", "it is list, not an object", "",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ['[{"a": 1}, {"b": ', '[{"a": 1}', "[", '[{"a": 1}, {"a": 1, "a": 2}]', "[" * 200_000],
)
def test_a_damaged_array(text: str, tmp_path: Path) -> None:
    """The element is named, with what to do."""
    with pytest.raises(VerificationError, match="damaged at element") as told:
        array(tmp_path / "a.json", text)
    assert ".jsonl" in told.value.fix


def test_an_array_of_a_source(tmp_path: Path) -> None:
    """A .json file is one array, or objects line by line."""
    path = tmp_path / "a.json"
    path.write_text(' \n[{"prompt": "a", "answer": "b"},\n{"prompt": "c", "answer": ""}]')
    assert found(path) == [(1, ""), (2, "the answer is empty")]
    path.write_bytes(GOOD * 2)
    assert found(path) == [(1, ""), (2, "")]


# Text ---------------------------------------------------------------------------------------------


def test_blocks_of_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blank lines part them; a block with a bad line, or too long, is a bad row."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"\n\none\ntwo\n\n\nthree\n \nfo\xffur\nfive\n\nsix")
    assert [row.number for row in places(Source(path))] == [3, 7, 9, 12]
    texts = [place.row.text if place.row else place.problem for place in places(Source(path))]
    assert texts[:2] == ["one\ntwo", "three"]
    assert "0xff" in str(texts[2])
    assert texts[3] == "six"
    monkeypatch.setattr(files, "LONGEST", 6)
    path.write_text("abcde\nabcde\n\nx")
    assert [problem for _, problem in found(path)] == ["it is too long", ""]


def test_a_folder_without_rows(tmp_path: Path) -> None:
    """Is not found, with what would be."""
    with pytest.raises(NotFoundError, match="no split"):
        found(tmp_path)
