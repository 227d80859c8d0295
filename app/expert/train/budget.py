"""How much of a run is left, and what that means for the learning rate: warm up, hold, decay to
zero.

The budget is minutes of training or tokens. Spent amounts are saved with the run, so stopping costs
nothing, and the decay is placed by what remains, so it always completes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass
class Budget:
    """Amounts in seconds or tokens; `decay` is how much of the end the rate falls over."""

    total: float
    warmup: float
    decay: float
    spent: float = 0.0
    finishing: bool = False

    @property
    def progress(self) -> float:
        """The share spent, 0 to 1."""
        return min(1.0, self.spent / self.total)

    @property
    def turn(self) -> float:
        """The share after which the rate falls."""
        return max(0.0, 1.0 - self.decay / self.total)

    @property
    def over(self) -> bool:
        """Whether nothing is left."""
        return self.spent >= self.total

    @property
    def rate(self) -> float:
        """The factor on the learning rates."""
        warm = min(1.0, (self.spent + 1e-9) / self.warmup) if self.warmup else 1.0
        cold = min(1.0, max(0.0, self.total - self.spent) / self.decay) if self.decay else 1.0
        return max(0.02, warm) * cold

    def finish(self, decay: float | None = None) -> None:
        """Begin the decay now; `decay` is how long it takes, by default the planned share of what
        was spent.
        """
        if self.finishing:
            return
        self.finishing = True
        planned = self.decay / self.total
        if decay is None and planned >= 1:  # the whole run is a decay already
            return
        wanted = decay if decay is not None else self.spent * planned / (1 - planned)
        if self.total - self.spent > wanted:
            self.decay = max(wanted, 1e-9)
            self.total = self.spent + self.decay

    def state(self) -> dict[str, float]:
        """Return everything needed to continue."""
        return asdict(self)
