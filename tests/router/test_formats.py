"""What was pasted is recognised, and told from words."""

import time

import pytest

from expert.router.formats import formats, is_prose, is_table, is_yaml, prose

PATCH = "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (PATCH, "diff"),
        ("@@ -3,7 +3,9 @@ def f():\n+    x", "diff"),
        ("CREATE TABLE t (a INT);", "ddl"),
        ("city(id int pk, name, country)", "schema"),
        ("SELECT a FROM b WHERE c = 1", "sql"),
        ("please fix: select a, b from t where x", "sql"),
        ("(:Person)-[:KNOWS]->(:Person)", "cypher"),
        ("Node properties:\n- **Town**\n", "cypher"),
        ('{"a": 1}', "json"),
        ("<a><b>1</b></a>", "xml"),
        (r"^\d{3}-\d+$", "regex"),
        ("Traceback (most recent call last):\n", "traceback"),
        ("ValueError: no such thing", "traceback"),
        ("bash: ./x: Permission denied", "error"),
        ("2024-01-02 10:11:12 INFO start", "log"),
        ("ls | sort", "shell"),
        ("def f(x):\n    return x", "code"),
        ("a,b\n1,2\n", "csv"),
        ("name: x\nage: 3\n", "yaml"),
    ],
)
def test_a_format_is_found(text: str, name: str) -> None:
    """Each pasted form has its name."""
    assert name in formats(text)


@pytest.mark.parametrize(
    "text",
    [
        "what is the capital of France?",
        "Please select a good book from my shelf, and explain your choice.",
        "I like apples, pears, and plums; my brother prefers nuts.",
        "write a poem about SQL",
        "",
    ],
)
def test_ordinary_words_have_no_format(text: str) -> None:
    """Words such as select or table alone are no code."""
    assert formats(text) == frozenset()


def test_a_function_is_no_table() -> None:
    """`area(w, h)` has the form of a table's columns, but stands in code."""
    assert formats("def area(w, h):\n    return w * h") == {"code"}


def test_a_diff_is_nothing_else() -> None:
    """What a patch changes does not matter: SQL in it is no SQL to write."""
    text = PATCH.replace("+c", "+CREATE TABLE t (a INT);")
    assert formats(text) == {"diff"}


def test_prose_leaves_out_what_was_pasted() -> None:
    """The lines for the reader remain, in their order."""
    text = f"commit message?\n\n{PATCH}"
    assert prose(text) == "commit message?"
    assert prose("a,b\n1,2\nwho has more?") == "who has more?"
    assert prose("look:\n```\nhello there\n```\nthanks") == "look:\nthanks"
    assert prose("") == ""


def test_a_question_after_a_patch_is_heard() -> None:
    """The patch ends where its lines end."""
    assert prose(f"{PATCH}\nIs this safe?").strip() == "Is this safe?"


def test_lines_are_judged_by_their_symbols() -> None:
    """A line with more symbols than words is code."""
    assert is_prose("What is this?")
    assert not is_prose("x[i] = {a: b(c), d};")
    assert not is_prose("----")


def test_tables_and_settings() -> None:
    """Two rows with as many short cells make a table; sentences with commas do not."""
    assert is_table(["a;b", "1;2"])
    assert not is_table(["a;b"])
    assert not is_table(
        ["one, and then a lot more words, it seems", "two, and more, of course not"]
    )
    assert is_yaml(["a: 1", "b: 2"])
    assert not is_yaml(["a: 1", "then some words", "and some more"])


@pytest.mark.parametrize(
    "text",
    ["\n", " ", "(", "x(a, ", "{ ", '{"', "- ", "a: ", "select ", "A" * 60 + " ", "`", "@@ "],
)
def test_long_repetitions_take_linear_time(text: str) -> None:
    """Nothing that can be pasted makes a pattern slow: 8,000 characters in under 0.3 s of CPU."""
    start = time.process_time()
    formats(text * (8000 // len(text)))
    prose(text * (8000 // len(text)))
    assert time.process_time() - start < 0.3
