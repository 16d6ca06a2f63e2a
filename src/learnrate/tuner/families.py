"""Kinds of schedules of a whole run with one free number, the peak: each is tuned to its own best LR, and compared."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from learnrate import checks
from learnrate.errors import ArgumentError
from learnrate.finder.bounds import two_digits
from learnrate.schedules import Schedule, cosine, one_cycle, triangular2, warmup, wsd
from learnrate.schedules.base import known_length
from learnrate.tuner.cycling import Cycling, whole_cycles

Family = Callable[[float], Schedule]
"""From a max_lr to the schedule of a whole run."""

Families = str | Family | Sequence[str] | Mapping[str, Family]
"""One family by name or as a function; or several, which are compared."""

USUAL = "warmup_cosine"
"""The schedule of most trainings today, and the one that docs/choice.md measures."""

EXAMPLE_LR = 0.01
"""A family that is a function is checked with this peak and with half of it."""

FUNCTION = "a function from max_lr to a schedule"


@dataclass(frozen=True)
class Run:
    """What a family needs to know of the training run.

    Attributes:
        updates: Its length.
        updates_per_epoch: None if it is not known.
        base_lr: The lower bound that the range test gave; None if it gave none.
    """

    updates: int
    updates_per_epoch: int | None = None
    base_lr: float | None = None

    @property
    def cycling(self) -> Cycling:
        """The cycles of the run."""
        return whole_cycles(self.updates, self.updates_per_epoch)


Builder = Callable[[float, Run], Schedule]
"""From a max_lr and the run to a schedule of this run."""


def warmup_cosine(max_lr: float, run: Run) -> Schedule:
    """10 % linear warm-up, cosine to 0."""
    return (warmup(max_lr, "10%") >> cosine(max_lr, 0.0)).resolve(run.updates)


def warmup_stable_decay(max_lr: float, run: Run) -> Schedule:
    """`wsd`: warm-up, constant LR, cooldown."""
    return wsd(max_lr).resolve(run.updates)


def single_cycle(max_lr: float, run: Run) -> Schedule:
    """`one_cycle` over the whole run."""
    return one_cycle(max_lr, run.updates)


def halving_cycles(max_lr: float, run: Run) -> Schedule:
    """`triangular2` in whole cycles, from the lower bound, or from a quarter of the peak if that is lower.

    A quarter: "set base_lr to 1/3 or 1/4 of max_lr" is the rule of thumb of Smith (arXiv 1506.01186, section 3.3).
    """
    quarter = two_digits(max_lr / 4)
    return triangular2(min(run.base_lr or quarter, quarter), max_lr, run.cycling.step_size, run.cycling.cycles)


NAMED: Mapping[str, Builder] = {
    "warmup_cosine": warmup_cosine,
    "one_cycle": single_cycle,
    "wsd": warmup_stable_decay,
    "triangular2": halving_cycles,
}
"""The families that have a name."""


def read(families: Families | None, updates: int) -> dict[str, Builder]:
    """Read families as a user gives them.

    Args:
        families: A name of `NAMED`; a function from a max_lr to a schedule; several names; or functions by name. None is
            `warmup_cosine`.
        updates: Length of the training run.

    Returns:
        Builders by name; each checks what a function of the user returns, at every call.

    Raises:
        ArgumentError: if a name is unknown, there are none, or the run is too short for one.
        ArgumentTypeError: if something is neither a name nor a function.
    """
    run = Run(updates)
    if families is None:
        families = USUAL
    if isinstance(families, str):
        families = [families]
    if isinstance(families, Schedule):  # schedules are callable too
        remedy = "tune looks for the LR of a kind of schedule, as in family=lambda max_lr: one_cycle(max_lr, 1000)"
        checks.refuse_type("family", FUNCTION, families, remedy)
    if callable(families):
        # Its own name may be "<lambda>", which says nothing.
        return {"family": _of_function(families, run)}
    if isinstance(families, Mapping):
        return _not_empty({str(name): _of_function(_function(name, value), run) for name, value in families.items()})
    if not isinstance(families, Sequence):
        checks.refuse_type("family", f"a name, {FUNCTION}, or several of them", families)
    return _not_empty({name: _of_name(name, run) for name in families})


def bind(builder: Builder, run: Run) -> Family:
    """A family of this run."""
    return lambda max_lr: builder(max_lr, run)


def _of_name(name: object, run: Run) -> Builder:
    if callable(name):
        checks.refuse_type("family", "a mapping if it holds several functions", name, "write {'mine': function}")
    builder = NAMED[checks.choice("family", name, tuple(NAMED))]
    builder(1.0, run)  # refuses a run that is too short now, not after the range test
    return builder


def _function(name: object, family: object) -> Family:
    if not callable(family):
        checks.refuse_type(f"family[{checks.shown(name)}]", FUNCTION, family)
    return family


def _of_function(family: Family, run: Run) -> Builder:
    """A function of the user; refused now if its schedules do not fit the run, or do not depend on the LR."""
    examples: list[object] = []
    # A function that refuses these LRs may accept those of the trials.
    with suppress(ValueError):
        examples += family(EXAMPLE_LR), family(EXAMPLE_LR / 2)
    schedules = [_fitting(example, run) for example in examples]
    if len(schedules) == 2 and schedules[0] == schedules[1]:
        raise ArgumentError(
            f"family must return a schedule that depends on its max_lr, received {checks.shown(schedules[0])} for "
            f"{EXAMPLE_LR} and for {EXAMPLE_LR / 2}"
        )
    return lambda max_lr, run: _fitting(family(max_lr), run)


def _not_empty(families: dict[str, Builder]) -> dict[str, Builder]:
    if not families:
        raise ArgumentError("family must name at least one kind of schedule, received none")
    return families


def _fitting(schedule: object, run: Run) -> Schedule:
    """The resolved schedule; refused if it is not a schedule of this run."""
    if not isinstance(schedule, Schedule):
        checks.refuse_type("what family returns", "a schedule", schedule)
    schedule = schedule.resolve(run.updates)
    length = known_length(schedule)
    if length is not None and length > run.updates:
        raise ArgumentError(
            f"family must return a schedule of at most {run.updates} updates, received one of {length}: "
            "give it the length of the training (updates)"
        )
    return schedule
