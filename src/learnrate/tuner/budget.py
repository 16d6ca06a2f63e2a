"""What tuning may cost: a share of one training run, a number of updates, or a time."""

import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from learnrate import checks
from learnrate.errors import ArgumentError, ArgumentTypeError
from learnrate.updates import StopReason

USUAL = ((180, 180), (300, 180), (1500, 900), (5000, 1000), (20_000, 1400), (100_000, 2000))
"""Updates of a training run, and its usual budget: 60 % of a run of 300 to 1,500 updates, 20 % of 5,000, 7 % of 20,000, 2 %
of 100,000.

The cost of finding an LR hardly grows with the run: docs/choice.md shows what these budgets buy."""

UNTIMED = 500
"""Updates that are assumed to fit into a time budget before the first update: few enough to begin with short trials."""

MOST_RUNS = 10
"""Largest budget that is a plain number: a larger number was meant as a number of updates."""

OUT_OF_TIME = StopReason("out of time", "the time budget was used up")

_SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0}
_TEXT = re.compile(
    r"\s*((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?)\s*(%|updates?|seconds?|minutes?|hours?)\s*", re.IGNORECASE
)


@dataclass(frozen=True)
class Budget:
    """What tuning may cost.

    Attributes:
        updates: Most updates.
        seconds: Most time; infinite if only updates are limited.
    """

    updates: int
    seconds: float = math.inf

    @property
    def is_timed(self) -> bool:
        """Whether there is a time limit."""
        return math.isfinite(self.seconds)


def usual(updates: int) -> int:
    """The usual budget in updates for a training run of this length.

    Example:
        >>> [usual(updates) for updates in (100, 300, 1000, 5000, 20_000, 1_000_000)]
        [100, 180, 600, 1000, 1400, 3331]
    """
    if updates <= USUAL[0][0]:
        return updates
    # A power of the length between two entries; beyond the last one, which was measured, as between the last two.
    pairs = list(pairwise(USUAL))
    (shorter, least), (longer, most) = next((pair for pair in pairs if updates <= pair[1][0]), pairs[-1])
    power = math.log(most / least) / math.log(longer / shorter)
    return math.floor(float(least * (updates / shorter) ** power) + 1e-9)


def read(budget: float | str | None, updates: int) -> Budget:
    """Read a budget as a user gives it.

    Args:
        budget: A number is a share of one training run, up to 10; a text such as "500 updates", "25%", "90 seconds" or
            "5 minutes" has a unit; None is `usual`.
        updates: Length of the training run.

    Raises:
        ArgumentError: if it is neither a number above 0 and up to 10 nor such a text.
        ArgumentTypeError: if it is neither a number nor a text.

    Example:
        >>> read(0.5, 1000), read("90 seconds", 1000)
        (Budget(updates=500, seconds=inf), Budget(updates=1000, seconds=90.0))
    """
    if budget is None:
        return Budget(usual(updates))
    if isinstance(budget, str):
        return _parsed(budget, updates)
    try:
        share = checks.positive("budget", budget)
    except ArgumentTypeError as error:
        raise ArgumentTypeError(f"{error}: give a share of one training run, or a text such as '500 updates'") from None
    if share > MOST_RUNS:
        remedy = "a number is a share of one training run"
        if share <= checks.LONGEST:
            remedy += f", so give '{budget} updates' or '{100 * share:.0f}%'"
        checks.refuse("budget", f"at most {MOST_RUNS} training runs", budget, remedy)
    return Budget(math.floor(min(share * updates + 1e-9, checks.LONGEST)))


def _parsed(text: str, updates: int) -> Budget:
    match = _TEXT.fullmatch(text)
    number = float(match[1]) if match else 0.0
    if match is None or not 0 < number < math.inf:
        raise ArgumentError(
            "budget must be a share of one training run, or a text such as '500 updates', '25%', '90 seconds' or "
            f"'5 minutes', received {checks.shown(text)}"
        )
    unit = match[2].lower().removesuffix("s")
    if unit in _SECONDS:
        # At most as long as one run: a longer search is seldom worth the time of a second run.
        return Budget(updates, number * _SECONDS[unit])
    return Budget(math.floor(min(number * updates / 100 + 1e-9 if unit == "%" else number, checks.LONGEST)))


def _only_process(value: int | None) -> int | None:
    return value


@dataclass
class Spending:
    """What is spent of a budget.

    Attributes:
        budget: The budget.
        spent: Updates made so far.
        given: The part of them that was made before the time began to run.
        idle: Seconds in which no updates were made.
        agree: `Trainable.agree`, so that the clock of one process decides for all; used only if there is a time limit.
        clock: Gives the time in seconds.
    """

    budget: Budget
    spent: int = 0
    given: int = 0
    idle: float = 0.0
    agree: Callable[[int | None], int | None] = _only_process
    clock: Callable[[], float] = time.monotonic
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.clock()

    @property
    def seconds(self) -> float:
        """Time since the beginning, by the clock of this process."""
        return self.clock() - self._began

    @property
    def pace(self) -> float:
        """Seconds per update so far, by the clock of this process; 0 before the first update."""
        updates = self.spent - self.given
        return (self.seconds - self.idle) / updates if updates else 0.0

    def remaining(self) -> int:
        """Updates that can still be made; with a time limit, the number that fits into it at the pace so far.

        With a time limit, all processes must call it at the same places.
        """
        return self._agreed(self._remaining())

    def total(self) -> int:
        """Updates that the budget covers in all; with a time limit, at the pace so far. See `remaining`."""
        if self.budget.is_timed and self.spent == self.given:
            return min(self.budget.updates, self.given + UNTIMED)
        return self._agreed(self.spent + self._remaining())

    def out_of_time(self) -> StopReason | None:
        """The reason to stop once the time is over, by the clock of this process: `UpdateLoop` shares it."""
        return OUT_OF_TIME if self.seconds >= self.budget.seconds else None

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Time in here is spent, but does not count for the pace."""
        began = self.clock()
        try:
            yield
        finally:
            self.idle += self.clock() - began

    def _remaining(self) -> int:
        updates = self.budget.updates - self.spent
        if self.budget.is_timed:
            if self.out_of_time():
                return 0
            pace = self.pace
            affordable = (self.budget.seconds - self.seconds) / pace if pace > 0 else math.inf
            if affordable < updates:
                updates = math.floor(affordable)
        return max(0, updates)

    def _agreed(self, updates: int) -> int:
        agreed = self.agree(updates) if self.budget.is_timed else updates
        return updates if agreed is None else agreed
