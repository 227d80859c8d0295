"""The history with several programs at once, and beside the marketplace's tables."""

import subprocess
import sys
from pathlib import Path

from expert.history.history import user_history
from expert.market.market import user_market

WRITER = """
import sys
from expert.history.history import user_history
from expert.history.records import Turn
from expert.types import Sampling
history, name = user_history(), sys.argv[1]
place = None
for index in range(12):
    turn = Turn(f"{name} question {index}", "answer", "stop", Sampling(), "tiny", "/m",
                conversation=place and place.conversation)
    place = history.record(turn)
    assert history.search(f'"{name} question {index}"')
print(place.conversation)
"""


def test_programs_record_at_once(home: Path) -> None:
    """Six begin on no database at all; every turn of each is there, in its order."""
    commands = [[sys.executable, "-c", WRITER, f"p{index}"] for index in range(6)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    history = user_history()
    for index, process in enumerate(running):
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        prompts = [found.turn.prompt for found in history.turns(int(out))]
        assert prompts == [f"p{index} question {number}" for number in range(12)]
    assert len(history.conversations()) == 6


def test_the_marketplace_shares_the_database(home: Path) -> None:
    """Whichever comes first, both have their tables in it."""
    with user_market().reading() as catalogue:
        assert catalogue.installed() == []
    assert user_history().conversations() == []
    with user_market().reading() as catalogue:
        assert catalogue.installed() == []
