"""What `with` promises: closed at its end, also after an error."""

import pytest

from expert.closing import Closing


class Counted(Closing):
    """Counts how often it was closed."""

    closed = 0

    def close(self) -> None:
        """Count."""
        self.closed += 1


def test_it_is_closed_at_the_end_and_errors_pass_through() -> None:
    """The block gets the object itself; an error in it is not swallowed."""
    thing = Counted()
    with thing as same:
        assert same is thing
        assert thing.closed == 0
    assert thing.closed == 1
    with pytest.raises(ValueError), thing:
        raise ValueError
    assert thing.closed == 2
