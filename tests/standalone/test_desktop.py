"""The desktop entry and its icon, by the rules of freedesktop.org."""

import configparser
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from expert.cli import VERBS

DESKTOP = Path(__file__).parents[2] / "packaging" / "desktop"
ENTRY, ICON = DESKTOP / "expert.desktop", DESKTOP / "expert.svg"
MAIN_CATEGORIES = {
    "AudioVideo", "Development", "Education", "Game", "Graphics", "Network", "Office", "Science",
    "Settings", "System", "Utility",
}  # fmt: skip


@pytest.mark.skipif(not shutil.which("desktop-file-validate"), reason="needs desktop-file-utils")
def test_the_validator_takes_it() -> None:
    """Without an error, warning or hint; and it would find a fault."""
    done = subprocess.run(["desktop-file-validate", ENTRY], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_entry_keeps_the_rules() -> None:
    """Desktop Entry Specification 1.5: required keys, known types, lists that end as lists do."""
    parser = configparser.RawConfigParser(strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keys keep their case
    parser.read(ENTRY, encoding="utf-8")
    assert parser.sections() == ["Desktop Entry"]
    entry = dict(parser["Desktop Entry"])
    assert {"Type", "Name", "Exec", "Icon"} <= set(entry)
    assert all(re.fullmatch(r"[A-Za-z0-9-]+", key) for key in entry)
    assert (entry["Type"], entry["Terminal"]) == ("Application", "true")
    for key in ("Categories", "Keywords"):
        assert entry[key].endswith(";")
    assert MAIN_CATEGORIES & set(entry["Categories"].split(";"))
    assert ENTRY.read_bytes().startswith(b"[Desktop Entry]\n")


def test_the_entry_starts_what_there_is() -> None:
    """The command is a verb of the program, and the icon is the file beside it."""
    entry = dict(line.split("=", 1) for line in ENTRY.read_text().splitlines() if "=" in line)
    program, verb = entry["Exec"].split()
    assert program == entry["TryExec"] == "expert" and verb in VERBS
    assert entry["Icon"] == ICON.stem


def test_the_icon_is_a_square_picture_that_needs_nothing_else() -> None:
    """SVG, its own size, no links, scripts or fonts; it says its name to screen readers."""
    root = ElementTree.parse(ICON).getroot()
    name = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{name}svg"
    assert root.get("width") == root.get("height") and root.get("viewBox") == "0 0 128 128"
    assert root.findtext(f"{name}title") == "Expert"
    used = {element.tag.removeprefix(name) for element in root.iter()}
    assert used <= {"svg", "title", "rect", "path", "circle"}
    text = ICON.read_text()
    assert "href" not in text and "url(" not in text and len(text) < 4096


def test_the_icon_can_be_drawn() -> None:
    """A real renderer makes a picture of it that is not empty."""
    resvg = pytest.importorskip("resvg_py")
    picture = bytes(resvg.svg_to_bytes(svg_string=ICON.read_text(), width=64, height=64))
    assert picture.startswith(b"\x89PNG") and len(picture) > 500
