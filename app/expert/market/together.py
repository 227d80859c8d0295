"""Which of several installed experts may act together, where nobody insists on one of them."""

from collections.abc import Sequence

from expert.errors import UsageError
from expert.market.use import ReadyExpert, check_conflicts


def without_conflicts(
    experts: Sequence[ReadyExpert],
) -> tuple[list[ReadyExpert], list[tuple[ReadyExpert, str]]]:
    """Return the experts that may act together, and those left out with the reason.

    *experts* come in order of priority: of two that exclude each other the earlier one stays.
    Experts that the user named are not filtered but checked (`use.check_conflicts`).
    """
    kept: list[ReadyExpert] = []
    left_out = []
    for expert in experts:
        try:
            check_conflicts([*kept, expert])
        except UsageError as error:
            left_out.append((expert, error.why))
        else:
            kept.append(expert)
    return kept, left_out
