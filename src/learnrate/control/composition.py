"""The schedule that a run really follows, from the events so far; kept up to date at a cost that does not grow with them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from learnrate import checks
from learnrate.control.events import WITHOUT_LR, Event
from learnrate.schedules import Schedule
from learnrate.schedules.base import require_schedule
from learnrate.schedules.stairs import of_numbers
from learnrate.schedules.switching import of_parts

MOST = 256
"""Factors in one part of a composed schedule. Parts that are complete are not built again with each further factor."""

WIDTH = 64
"""Parts that become one. With fewer, a schedule of many parts has more levels; with more, an event has more to copy."""

Part = tuple[int, Schedule]
"""A schedule, with the first update for which it is followed."""


def composed(original: Sequence[Schedule], events: Iterable[Event]) -> tuple[Schedule, ...]:
    """The schedules that a run really followed, and will follow if nothing else happens.

    Args:
        original: The schedules at its start, one for all parameter groups or one for each.
        events: In their order; see `Composition.add`.

    Returns:
        As many schedules: the original ones, times the factors, and from each replacement on the new ones. Their values are
        equal, bit for bit, to those that the run used.

    Raises:
        ArgumentError: if an event has a factor that is not above 0, or an update below 0.

    Example:
        >>> from learnrate import linear
        >>> composed([linear(0.1, 0.0, 100)], [Event(50, "scale", "plateau", factor=0.5)])
        (linear(start=0.1, end=0.0, length=100) * piecewise_constant(values=(1.0, 0.5), milestones=(50,)),)
    """
    composition = Composition(original)
    for event in events:
        composition.add(event)
    return composition.schedules


class Composition:
    """Makes the schedules of a run from its events, one event after the other.

    An event costs the same after 10 and after 100,000 others. The schedules are values, and new ones share their complete
    parts with those before: up to `MOST` factors are one part, and `WIDTH` parts become one part again, so that a schedule
    of n events has log(n) levels. They depend on the events alone, so that `composed` gives equal ones.

    Args:
        original: The schedules at the start of the run, one for all parameter groups or one for each.
    """

    def __init__(self, original: Sequence[Schedule]) -> None:
        schedules = tuple(require_schedule("original", schedule) for schedule in original)
        # The last change is held back: an event at the same update takes its place, and complete parts never change.
        self._changes = [_Change(0, 0, schedules, 1.0)]
        self._groups = [_Group()]
        self._stretches = 0
        self._composed: tuple[Schedule, ...] | None = None

    def add(self, event: Event) -> None:
        """Take an event in. It holds from its update on.

        Args:
            event: An event at an earlier update than the last one ends what held from there on, as in a run that went back;
                the schedules so far are then made again.

        Raises:
            ArgumentError: if its factor is not above 0, or its update below 0.
        """
        if event.kind in WITHOUT_LR:
            return  # they name the update at fault, or the last one, which had the factor that was in force then
        update = checks.whole("the update of an event", event.update, at_least=0)
        factor = checks.positive("the factor of an event", event.factor)
        last = self._changes[-1]
        if event.schedules is None:
            change = _Change(update, last.stretch, last.schedules, factor)
        else:
            self._stretches += 1
            schedules = tuple(require_schedule("the schedules of an event", schedule) for schedule in event.schedules)
            change = _Change(update, self._stretches, schedules, factor)
        if update > last.update:
            self._complete(last)
        else:
            self._changes.pop()
            if self._changes and self._changes[-1].update >= update:
                self._go_back(update)
        self._changes.append(change)
        self._composed = None

    def _go_back(self, update: int) -> None:
        while self._changes and self._changes[-1].update >= update:
            self._changes.pop()
        self._groups = [_Group()]
        for change in self._changes:
            self._complete(change)

    def _complete(self, change: "_Change") -> None:
        if len(self._groups) < len(change.schedules):  # one schedule for all groups was replaced by one for each
            self._groups = [self._groups[0].copy() for _ in change.schedules]
        for index, group in enumerate(self._groups):
            group.add(change, change.schedule(index))

    @property
    def schedules(self) -> tuple[Schedule, ...]:
        """See `composed`."""
        if self._composed is None:
            last = self._changes[-1]
            groups = self._groups if len(self._groups) > 1 else self._groups * len(last.schedules)
            self._composed = tuple(group.with_last(last, last.schedule(index)) for index, group in enumerate(groups))
        return self._composed


@dataclass(frozen=True)
class _Change:
    """What is in force from an update on.

    Attributes:
        update: The update.
        stretch: Number of the schedules in their order, so that equal ones one after the other stay apart.
        schedules: The schedules.
        factor: What they are multiplied with.
    """

    update: int
    stretch: int
    schedules: tuple[Schedule, ...]
    factor: float

    def schedule(self, index: int) -> Schedule:
        """The schedule of a group."""
        return self.schedules[index if len(self.schedules) > 1 else 0]


@dataclass
class _Open:
    """The part of a group that further factors belong to: its first update, its schedule, its factors."""

    start: int
    stretch: int
    schedule: Schedule
    values: list[float]
    milestones: list[int] = field(default_factory=list)

    def part(self) -> Part:
        return self.start, _scaled(self.schedule, tuple(self.values), tuple(self.milestones))

    def takes(self, change: _Change) -> bool:
        """Whether a change belongs to this part."""
        return change.stretch == self.stretch and (len(self.values) < MOST or change.factor == self.values[-1])


class _Group:
    """What one parameter group followed. `WIDTH` complete parts of one level are one part of the next."""

    def __init__(self) -> None:
        self._levels: list[list[Part]] = []
        self._complete: tuple[Part, ...] = ()
        self._open: _Open | None = None

    def copy(self) -> "_Group":
        """Another one, to go on from here."""
        other = _Group()
        other._levels, other._complete = [list(level) for level in self._levels], self._complete
        if (own := self._open) is not None:
            other._open = _Open(own.start, own.stretch, own.schedule, list(own.values), list(own.milestones))
        return other

    def add(self, change: _Change, schedule: Schedule) -> None:
        """Take a change in."""
        own = self._open
        if own is None or not own.takes(change):
            if own is not None:
                self._add_part(own.part())
            self._open = _Open(change.update, change.stretch, schedule, [change.factor])
        elif change.factor != own.values[-1]:
            own.values.append(change.factor)
            own.milestones.append(change.update)

    def _add_part(self, part: Part) -> None:
        for level in self._levels:
            level.append(part)
            if len(level) < WIDTH:
                break
            part = level[0][0], _joined(level)
            level.clear()
        else:
            self._levels.append([part])
        self._complete = tuple(member for level in reversed(self._levels) for member in level)

    def with_last(self, change: _Change, schedule: Schedule) -> Schedule:
        """The schedule with one more change, which is not kept."""
        own = self._open
        if own is None:
            return _scaled(schedule, (change.factor,), ())
        if not own.takes(change):
            return _joined([*self._complete, own.part(), (change.update, _scaled(schedule, (change.factor,), ()))])
        if change.factor == own.values[-1]:
            return _joined([*self._complete, own.part()])
        values, milestones = (*own.values, change.factor), (*own.milestones, change.update)
        return _joined([*self._complete, (own.start, _scaled(schedule, values, milestones))])


def _scaled(schedule: Schedule, values: tuple[float, ...], milestones: tuple[int, ...]) -> Schedule:
    if milestones:
        return schedule * of_numbers(values, milestones)
    return schedule if values[0] == 1 else schedule * values[0]


def _joined(parts: Sequence[Part]) -> Schedule:
    if len(parts) == 1:
        return parts[0][1]
    starts, schedules = zip(*parts, strict=True)
    return of_parts(schedules, starts[1:])
