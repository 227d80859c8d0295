"""Tasks with little to convert, from a few rows made here: groups, templates, what is left out."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from expert.train.corpus import held_out
from expert.train.examples import Document, Example, Source
from expert.train.split import page_group
from expert.train.tasks.others import LANGUAGES, LONGEST_RESPONSE, instruct, intent, translate
from expert.train.tasks.reading import FILES, dictionary, documents, reading
from expert.train.words import invented, mixed, vocabulary
from train.conftest import write_rows

Rows = list[dict[str, Any]]


def put(data: Path, **files: Rows) -> Source:
    """Write files of a data folder, `__` for a slash, and return where builders read."""
    for name, rows in files.items():
        write_rows(data / f"{name.replace('__', '/')}.jsonl.zst", rows)
    return Source(data)


def of_intents(folder: Path) -> Source:
    """Return three files of intents; one row of training is in the validation file too."""
    return put(
        folder,
        experts__intent__clinc150_train=[
            {"text": "play jazz", "intent": "play_music"}, {"text": " stop ", "intent": "stop"},
        ],
        experts__intent__clinc150_val=[{"text": "stop", "intent": "stop"}],
        experts__intent__banking77_train=[{"text": "my card", "intent": "card_lost"}],
    )  # fmt: skip


def test_intents_and_their_cut(tmp_path: Path) -> None:
    """A training row that the validation file holds belongs to it, and is never trained on."""
    found = list(intent(of_intents(tmp_path)))
    assert [e.group.split(":")[1][:3] for e in found[:3]] == ["tra", "val", "val"]
    assert found[3].group.startswith("banking:") and found[3].group != "banking:my card"
    assert [held_out(e) for e in found[:3]] == [False, True, True]
    assert [e.question.answer for e in found] == ["play_music", "stop", "stop", "card_lost"]
    assert all("play jazz" in e.question.prompt for e in found[:1])


def test_variants_ask_in_other_words(tmp_path: Path) -> None:
    """The same variant asks the same each time; several use every template."""
    source = of_intents(tmp_path)
    asked = [
        [e.question.prompt for e in intent(Source(source.data, variant))] for variant in range(12)
    ]
    assert asked[3] == [e.question.prompt for e in intent(Source(source.data, 3))]
    assert len({prompts[0] for prompts in asked}) == 3


def test_long_instructions_are_left_out(tmp_path: Path) -> None:
    """By the length of the response and of the question; an input follows its instruction."""
    long = "x" * (LONGEST_RESPONSE + 1)
    source = put(
        tmp_path,
        experts__instruct__dolly_open_qa=[
            {"instruction": "Why?", "response": " Because. "},
            {"instruction": "Say much", "response": long},
            {"instruction": "y" * 601, "response": "no"},
        ],
        experts__instruct__self_instruct_seeds=[
            {"instruction": "Sort", "input": "b a", "response": "a b"},
        ],
    )  # fmt: skip
    found = list(instruct(source))
    assert [(e.question.prompt, e.question.answer) for e in found] == [
        ("Why?", "Because."), ("Sort\n\nb a", "a b"),
    ]  # fmt: skip
    assert found[0].group != found[1].group


def test_translations_share_a_group_with_their_page(tmp_path: Path) -> None:
    """In every language, so that a page is held out in all of them."""
    files = {
        f"experts__translation__tldr_en.{code}_train": [
            {"page": "Ls.md", "en": "List files", "xx": f" {language} "}
        ]
        for code, language in LANGUAGES.items()
    }
    found = list(translate(put(tmp_path, **files)))
    assert {e.group for e in found} == {page_group("ls.md")} and len(found) == len(LANGUAGES)
    prompts = [e.question.prompt for e in found]
    assert prompts[0] == "Translate to German: List files" and len(set(prompts)) == 4


BODY = (
    "The river Foo rises in the hills of Bar near a village. "
    "In 1912 a bridge of seven arches was built across it. "
    "Fishermen and millers lived along its banks for a long time."
)


def of_texts(folder: Path, **texts: Rows) -> Source:
    """Return a folder with every file of plain text, most of them empty."""
    return put(folder, **{f"pretrain__{name}": texts.get(name, []) for name in FILES})


def test_questions_are_answered_from_the_text(tmp_path: Path) -> None:
    """Whatever is asked, the answer stands in the article, and the article in the question."""
    rows = [{"text": f"River {n}\n{BODY.replace('Foo', f'Foo{n}')}"} for n in range(60)]
    source = of_texts(tmp_path, wikipedia_en_2015=rows, wikinews_en=[{"text": "Short\nToo short."}])
    found = list(reading(source))
    assert len(found) == 60 and len({e.group for e in found}) == 60
    kinds = set()
    for example in found:
        asked, answer = example.question.prompt, example.question.answer
        assert answer in asked and answer.strip(".") and "Too short" not in asked
        kinds.add("year" if answer == "1912" else answer.split()[0])
    assert kinds >= {"year", "The"}


def test_articles_with_one_sentence_are_no_lesson(tmp_path: Path) -> None:
    """There would be nothing to choose from."""
    rows = [{"text": "One\n" + "word " * 30 + "end."}]
    assert list(reading(of_texts(tmp_path, wikipedia_en_2015=rows))) == []


def test_the_dictionary_gives_meanings(tmp_path: Path) -> None:
    """The first of several names, without the full stop."""
    text = (
        "dog, hound (noun): an animal that barks. More.\nrun (verb): to go very fast.\nno entry\n"
    )
    found = list(dictionary(of_texts(tmp_path, reference=[{"text": text}])))
    assert [e.question.answer for e in found] == ["an animal that barks", "to go very fast"]
    assert "dog" in found[0].question.prompt and "hound" not in found[0].question.prompt


def test_documents_are_taken_up_to_a_limit(tmp_path: Path) -> None:
    """Of each file; their group follows from how they begin."""
    rows = [{"text": f"{n} " + "a" * 98} for n in range(10)]
    source = of_texts(tmp_path, reference=rows, docs_tech=rows[:1])
    assert len(list(documents(source, 250))) == 3 + 1
    found = list(documents(source, 10**6))
    assert len(found) == 11 and found[0].group == found[10].group != found[1].group


def test_made_up_tasks_and_texts_are_held_out_by_hash() -> None:
    """About one in two hundred, the same each time; rows of other tasks only by their list."""
    groups = [f"copying:{n}" for n in range(4000)]
    cut = [held_out(Example("copying", group, ())) for group in groups]
    assert cut == [held_out(Example("copying", group, ())) for group in groups]
    assert 8 < sum(cut) < 40
    assert cut == [held_out(Document(group, "")) for group in groups]
    assert not any(held_out(Example("mine", group, ())) for group in groups)
    assert held_out(Example("mine", "any", (), held_out=True))


def test_words_to_fill_exercises_with(tmp_path: Path) -> None:
    """Common words of the news, the commonest first; some invented ones among them."""
    rows = [{"text": "river river river river bridge bridge bridge once It A1 toolongforaword"}]
    source = put(tmp_path, pretrain__wikinews_en=rows)
    words = vocabulary(source.text("wikinews_en"))
    assert words == ("river", "bridge")
    rng = Random(1)
    many = mixed(rng, words, 400)
    plain = sum(word.lower() in words for word in many)
    assert len(many) == 400 and 240 < plain < 360
    assert all(invented(rng).isascii() and invented(rng) for _ in range(200))


@pytest.mark.parametrize("builder", [intent, instruct, translate, reading, dictionary])
def test_a_file_that_is_not_there_is_an_error(builder: Any, tmp_path: Path) -> None:
    """The caller turns it into one that names the task."""
    with pytest.raises(FileNotFoundError):
        list(builder(Source(tmp_path)))
