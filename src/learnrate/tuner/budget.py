"""What tuning may cost: a share of one training, a number of updates, or a time."""

import math
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from learnrate import checks
from learnrate.errors import ArgumentError, ArgumentTypeError

SHORT, MIDDLE, LONG = (1200, 1200), (5000, 1250), (20_000, 2000)
"""Updates of a training, and what `usual` allows for it: all of a short one, a quarter of 5,000, a tenth of 20,000.

What finds an LR hardly grows with the training: see docs/choice.md for what these buy."""

UNTIMED = 500
"""Updates that are taken to fit into a time before any has been made: little enough to begin with short races."""

MOST_TRAININGS = 10
"""Of a budget that is a plain number: who gives a larger one means updates."""

_SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0}
_TEXT = re.compile(
    r"\s*((?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?)\s*(%|updates?|seconds?|minutes?|hours?)\s*", re.IGNORECASE
)


@dataclass(frozen=True)
class Budget:
    """What may be spent.

    Attributes:
        updates: Most updates.
        seconds: Most time; infinite where only updates are limited.
    """

    updates: int
    seconds: float = math.inf


def usual(updates: int) -> int:
    """Updates that tuning takes for a training of so many, unless told otherwise.

    Example:
        >>> [usual(updates) for updates in (300, 1200, 5000, 20_000, 1_000_000)]
        [300, 1200, 1250, 2000, 7534]
    """
    for (shorter, least), (longer, most) in ((SHORT, MIDDLE), (MIDDLE, LONG)):
        if updates <= shorter:
            return min(updates, least)
        if updates <= longer:
            way = math.log(updates / shorter) / math.log(longer / shorter)
            return math.floor(float(least * (most / least) ** way) + 1e-9)
    # Beyond what was measured, as between the last two: the cube root of the training's length, about.
    power = math.log(LONG[1] / MIDDLE[1]) / math.log(LONG[0] / MIDDLE[0])
    return math.floor(float(MIDDLE[1] * (updates / MIDDLE[0]) ** power))


def read(budget: float | str | None, updates: int) -> Budget:
    """A budget as a user may give it.

    Args:
        budget: A number is a share of one training, up to 10; a text such as "500 updates", "25%", "90 seconds" or
            "5 minutes" says its unit; None is `usual`.
        updates: Length of the training.

    Raises:
        ArgumentError: if it is no number above 0 and up to 10, and no such text.
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
        raise ArgumentTypeError(f"{error}: give a share of one training, or a text such as '500 updates'") from None
    if share > MOST_TRAININGS:
        remedy = f"a number is a share of one training, so give '{budget} updates' or '{100 * share:.0f}%'"
        checks.refuse("budget", f"at most {MOST_TRAININGS} trainings", budget, remedy)
    return Budget(math.floor(min(share * updates + 1e-9, checks.LONGEST)))


def _parsed(text: str, updates: int) -> Budget:
    match = _TEXT.fullmatch(text)
    number = float(match[1]) if match else 0.0
    if match is None or not 0 < number < math.inf:
        raise ArgumentError(
            "budget must be a share of one training, or a text such as '500 updates', '25%', '90 seconds' or '5 minutes', "
            f"received {text!r}"
        )
    unit = match[2].lower().removesuffix("s")
    if unit in _SECONDS:
        # As long as a training at most: what a longer search finds is seldom worth a second training.
        return Budget(updates, number * _SECONDS[unit])
    return Budget(math.floor(min(number * updates / 100 + 1e-9 if unit == "%" else number, checks.LONGEST)))


@dataclass
class Purse:
    """What is left of a budget. Asked before every update, so that no budget is exceeded.

    Attributes:
        budget: What there was.
        spent: Updates made so far.
        given: Those of them that were made before the time began to run.
        idle: Seconds in which no updates were made.
    """

    budget: Budget
    spent: int = 0
    given: int = 0
    idle: float = 0.0
    _began: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> int:
        """Updates that may still be made; with a limit in time, as many as will fit into it at the pace so far."""
        left = self.budget.updates - self.spent
        if math.isfinite(self.budget.seconds):
            if self.late:
                return 0
            pace = self.pace
            if pace > 0:
                left = min(left, math.floor((self.budget.seconds - self.seconds) / pace))
        return max(0, left)

    @property
    def whole(self) -> int:
        """Updates that the budget pays for in all; with a limit in time, at the pace so far."""
        if math.isfinite(self.budget.seconds) and self.spent == self.given:
            return min(self.budget.updates, self.given + UNTIMED)
        return self.spent + self.left

    @property
    def seconds(self) -> float:
        """Time since the beginning."""
        return time.monotonic() - self._began

    @property
    def pace(self) -> float:
        """Seconds that an update took so far; 0 where none was made."""
        made = self.spent - self.given
        return (self.seconds - self.idle) / made if made else 0.0

    @property
    def late(self) -> bool:
        """Whether the time is over."""
        return self.seconds >= self.budget.seconds

    @contextmanager
    def idling(self) -> Iterator[None]:
        """Time that passes in here counts as spent, but tells nothing of the pace."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.idle += time.monotonic() - began

    def pay(self, updates: int) -> None:
        """Note updates that were made."""
        self.spent += updates
