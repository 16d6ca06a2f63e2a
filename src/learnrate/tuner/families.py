"""Kinds of whole schedules that have one free number, the peak: what races compare, each at its own best LR."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from learnrate import checks
from learnrate.errors import ArgumentError, ArgumentTypeError
from learnrate.finder.bounds import two_digits
from learnrate.schedules import Schedule, cosine, one_cycle, triangular2, warmup, wsd
from learnrate.schedules.base import known_length
from learnrate.tuner.cycling import Cycling, cut

Family = Callable[[float], Schedule]
"""From a max_lr to the schedule of a whole run."""

Families = str | Family | Sequence[str] | Mapping[str, Family]
"""One family by name or as a function; or several, which are compared."""

USUAL = "warmup_cosine"
"""What most trainings use today, and what docs/choice.md measures."""


TRIED = 0.01
"""A peak that a family of the user's own is tried with, and half of it."""


@dataclass(frozen=True)
class Run:
    """What a family must know of the training.

    Attributes:
        updates: Its length.
        updates_per_epoch: None where an epoch is not known.
        base_lr: The lower bound that the range test gave; None where it gave none.
    """

    updates: int
    updates_per_epoch: int | None = None
    base_lr: float | None = None

    @property
    def cycling(self) -> Cycling:
        """How the run is cut into cycles."""
        return cut(self.updates, self.updates_per_epoch)


def warmup_cosine(max_lr: float, run: Run) -> Schedule:
    """10 % linear warm-up, cosine to 0."""
    return _resolved(warmup(max_lr, "10%") >> cosine(max_lr, 0.0), run)


def stable(max_lr: float, run: Run) -> Schedule:
    """`wsd`: a warm-up, a constant stretch, a cooldown."""
    return _resolved(wsd(max_lr), run)


def cycle(max_lr: float, run: Run) -> Schedule:
    """`one_cycle` over the whole run."""
    return one_cycle(max_lr, run.updates)


def cycles(max_lr: float, run: Run) -> Schedule:
    """`triangular2` in whole cycles, from the lower bound, or from a quarter of the peak where that is lower.

    A quarter: "set base_lr to 1/3 or 1/4 of max_lr" is the rule of thumb of Smith (arXiv 1506.01186, section 3.3).
    """
    quarter = two_digits(max_lr / 4)
    return triangular2(min(run.base_lr or quarter, quarter), max_lr, run.cycling.step_size, run.cycling.cycles)


def _resolved(schedule: Schedule, run: Run) -> Schedule:
    # A run of a few updates has no tenth to warm up in.
    return schedule.resolve(run.updates)


NAMED: Mapping[str, Callable[[float, Run], Schedule]] = {
    "warmup_cosine": warmup_cosine,
    "one_cycle": cycle,
    "wsd": stable,
    "triangular2": cycles,
}
"""The families that have a name."""


def read(families: Families | None, run: Run) -> dict[str, Family]:
    """Families as a user may give them, by name; each makes schedules that are checked against the run.

    Args:
        families: A name of `NAMED`; a function from a max_lr to a schedule; several names; or functions by name. None is
            `warmup_cosine`.
        run: The training.

    Raises:
        ArgumentError: if a name is unknown, or there are none, or the run is too short for one.
        ArgumentTypeError: if something is neither a name nor a function.
    """
    if families is None:
        families = USUAL
    if isinstance(families, str):
        families = [families]
    if isinstance(families, Schedule):  # which is callable too
        raise ArgumentTypeError(
            f"family must be a function from max_lr to a schedule, received the schedule {families!r}: tune looks for the "
            "LR of a kind of schedule, as in family=lambda max_lr: one_cycle(max_lr, 1000)"
        )
    if callable(families):
        # Its own name, but that of a lambda tells nothing.
        return {"family": _own(families, run)}
    if isinstance(families, Mapping):
        return _some({str(name): _own(_function(name, family), run) for name, family in families.items()})
    if not isinstance(families, Sequence):
        raise ArgumentTypeError(
            f"family must be a name, a function from max_lr to a schedule, or several of them, received {families!r}"
        )
    return _some({name: _checked(_named(name, run), run) for name in families})


def _named(name: object, run: Run) -> Family:
    if callable(name):
        raise ArgumentTypeError(f"family must name each of several functions, as in {{'mine': function}}, received {name!r}")
    known = NAMED[checks.choice("family", name, tuple(NAMED))]
    known(1.0, run)  # refuses now, and not after the range test, a run that is too short for it
    return lambda max_lr: known(max_lr, run)


def _function(name: object, family: object) -> Family:
    if not callable(family):
        raise ArgumentTypeError(f"family[{name!r}] must be a function from max_lr to a schedule, received {family!r}")
    return family


def _own(family: Family, run: Run) -> Family:
    """A function of the user's own, refused now where what it returns would break off the races, or tell nothing."""
    tried: list[object] = []
    # One that takes no such LR may well take those that will race.
    with suppress(ValueError):
        tried += family(TRIED), family(TRIED / 2)
    found = [_fitting(one, run) for one in tried]
    if len(found) == 2 and found[0] == found[1]:
        raise ArgumentError(
            f"family must return a schedule that depends on its max_lr, received {found[0]!r} for {TRIED} and half of it"
        )
    return _checked(family, run)


def _some(families: dict[str, Family]) -> dict[str, Family]:
    if not families:
        raise ArgumentError("family must name at least one kind of schedule, received none")
    return families


def _checked(family: Family, run: Run) -> Family:
    """The family, with what it returns resolved, and refused where it is no schedule of this run."""
    return lambda max_lr: _fitting(family(max_lr), run)


def _fitting(schedule: object, run: Run) -> Schedule:
    if not isinstance(schedule, Schedule):
        raise ArgumentTypeError(f"family must return a schedule, received {schedule!r} of type {type(schedule).__name__}")
    schedule = schedule.resolve(run.updates)
    length = known_length(schedule)
    if length is not None and length > run.updates:
        raise ArgumentError(
            f"family must return a schedule of at most {run.updates} updates, received one of {length}: "
            "make it of the length that updates says"
        )
    return schedule
