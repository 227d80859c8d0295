"""A request is parsed a little: task, what is asked, what is only the topic, what is refused."""

import time

import pytest

from expert.router.reading import HEAD, MAX_WORDS, TAIL, clean, read, words_of
from expert.router.types import RouteRequest
from expert.types import Attachment


@pytest.mark.parametrize(
    ("prompt", "task"),
    [
        ("hello", "chat"),
        ("Thanks!", "chat"),
        ("write a poem about SQL", "creative"),
        ("A short rhyme about databases, please", "creative"),
        ("Schreib mir ein Gedicht über SQL", "creative"),
        ("explain what a join is", "discuss"),
        ("what's the difference between bash and zsh?", "discuss"),
        ("translate this to German: good day", "translate"),
        ("how do you say bread in French", "translate"),
        ("summarise the text", "summarise"),
        ("make this more polite", "rewrite"),
        ("fix my query", "fix"),
        ("extract the names", "extract"),
        ("turn this list into an array", "convert"),
        ("how do I unpack a tar file", "howto"),
        ("how many users are there", "count"),
        ("which rivers are in Spain", "question"),
        ("is this safe", "yesno"),
        ("write a query for all users", "make"),
        ("delete old files", "command"),
        ("", "statement"),
        ('{"a": [1, 2]}', "paste"),
    ],
)
def test_the_task(prompt: str, task: str) -> None:
    """The kind of request is told by its first words."""
    assert read(RouteRequest(prompt)).task == task


def test_please_and_can_you_say_nothing() -> None:
    """Politeness in front does not hide the verb."""
    plain, polite = (
        read(RouteRequest("delete old files")),
        read(RouteRequest("Could you please delete old files")),
    )
    assert plain.task == polite.task == "command"


def test_a_topic_is_not_what_is_asked_for() -> None:
    """`a poem about SQL` asks for a poem."""
    reading = read(RouteRequest("write a poem about SQL"))
    assert " poem " in reading.asked
    assert " sql " not in reading.asked
    assert " sql " in reading.topic


def test_quoted_words_are_not_asked_for() -> None:
    """What stands in quotes is material."""
    reading = read(RouteRequest('say "write some SQL" in French'))
    assert " sql " not in reading.asked
    assert "sql" in reading.words


def test_what_is_to_be_translated_is_not_asked_for() -> None:
    """What follows the colon is material too."""
    assert " files " not in read(RouteRequest("translate to German: delete the files")).asked


@pytest.mark.parametrize("prompt", ["no SQL please", "not a SQL query", "without any SQL"])
def test_a_refusal(prompt: str) -> None:
    """What the request does not want is known, and not asked for."""
    reading = read(RouteRequest(prompt))
    assert " sql " in reading.refused
    assert " sql " not in reading.asked


def test_mentions() -> None:
    """@names are found; addresses, decorators in words and paths are none."""
    reading = read(RouteRequest("@sql and @acme/json, but not a@b.org or x/@y"))
    assert reading.mentions == ("sql", "acme/json")


def test_attachments_lend_their_format() -> None:
    """An attached file says what it is; its words are not the request's."""
    request = RouteRequest("what now", (Attachment("t.csv", "a,b\n1,2\n"),))
    reading = read(request)
    assert reading.formats == {"csv"}
    assert reading.words == ("what", "now")


@pytest.mark.parametrize(
    ("prompt", "language"),
    [
        ("what is the capital of France", "en"),
        ("was ist die Hauptstadt von Kanada", "de"),
        ("quelle est la hauteur de la tour", "fr"),
        ("dame las ideas para el regalo", "es"),
        ("qual é a capital dos Estados", "pt"),
        ("日本の首都はどこですか", "other"),
        ("", "en"),
    ],
)
def test_the_language(prompt: str, language: str) -> None:
    """A few common words tell the language."""
    assert read(RouteRequest(prompt)).language == language


def test_long_texts_are_read_from_both_ends() -> None:
    """Only so much is read, and whole lines of it."""
    text = clean("first\n" + "x" * 10 + "\n" + "middle\n" * 10_000 + "last")
    assert len(text) <= HEAD + TAIL
    assert text.startswith("first\n")
    assert text.endswith("\nlast")
    assert set(text.splitlines()) == {"first", "x" * 10, "middle", "last"}
    assert len(read(RouteRequest("word " * 100_000)).words) <= MAX_WORDS


def test_control_characters_become_spaces() -> None:
    """Nothing that a terminal would obey survives the reading."""
    assert clean("a\x1b[31mb\x00c\u202ed") == "a [31mb c d"
    assert clean("a\tb\nc") == "a\tb\nc"


def test_words() -> None:
    """Words in any script, and the names of languages with signs."""
    assert words_of("Größe_3 it's C++") == ["größe", "3", "it's", "c", "++"]
    assert words_of("日本 ok") == ["日本", "ok"]


@pytest.mark.parametrize(
    "unit", ["a", "please ", "write ", "not ", "'", '"', "@a ", "é", "日", "\n"]
)
def test_a_megabyte_is_read_quickly(unit: str) -> None:
    """One megabyte of anything takes under half a second of CPU."""
    start = time.process_time()
    read(RouteRequest(unit * (1_000_000 // len(unit))))
    assert time.process_time() - start < 0.5
