"""What every schedule is: a frozen value, a pure function of the update count, printable as what rebuilds it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints, overload

from learnrate.errors import ArgumentError, ArgumentTypeError
from learnrate.schedules.numerics import Namespace, counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Check = Callable[[str, object], object]


class Schedule(ABC):
    """A pure function from the update count to the value of a hyper-parameter, the learning rate above all.

    A schedule is a value: its fields are public and frozen; it compares and hashes by them; `repr` prints the expression
    that rebuilds it and `learnrate.parse` reads that back. It holds no optimizer and no state, so resuming needs only the
    count.
    """

    if TYPE_CHECKING:
        # Declared to the type checker alone: at run time a dataclass would take an inherited attribute for the default
        # value of its own field `length`.
        @property
        def length(self) -> int | None:
            """Number of updates after which the value is held; None for a schedule without end."""

    @abstractmethod
    def _at(self, n: Any, xp: Namespace) -> Any:
        """The formula, for a count `n` of at least 0 in the namespace `xp`."""

    @overload
    def __call__(self, n: float) -> float: ...
    @overload
    def __call__(self, n: Any) -> Any: ...
    def __call__(self, n: Any) -> Any:
        """The value that update number `n` uses, counted from 0.

        Args:
            n: A Python or NumPy number (at least 0, fractions allowed), or an array of counts of any shape: NumPy, torch, or
                JAX, inside a traced function too.

        Returns:
            A Python float for a number. For an array of integers, an array of the same shape in the library's default
            floating dtype, on the same device; for an array of floats, one of the same dtype.

        Raises:
            ArgumentError: if `n` is a negative or NaN number.
            ArgumentTypeError: if `n` is neither a number nor an array.
        """
        count, xp = counted(n)
        return self._at(count, xp)

    def __rshift__(self, after: "Schedule") -> "Chain":
        """`a >> b`: first a, then b with its own count from 0, from update `a.length` on."""
        if not isinstance(after, Schedule):
            raise ArgumentTypeError(
                f"what follows >> must be a schedule, received {after!r} of type {type(after).__name__}: "
                "to hold a number, write constant(number)"
            )
        return Chain((*_parts(self), *_parts(after)))

    def plot(self, updates: int | None = None, ax: "Axes | None" = None) -> "Axes":
        """Draw the schedule and return the axes.

        Args:
            updates: How many updates to draw. By default the whole of a finite schedule; for an endless one, what shows
                its character (five cycles of a cyclical one).
            ax: The axes to draw in; a new figure by default.

        Raises:
            MissingExtraError: if matplotlib is not installed.
        """
        from learnrate import plots

        return plots.draw_schedule(self, self._span() if updates is None else updates, ax)

    def _span(self) -> int:
        """How many updates a picture shows by default."""
        return self.length or 100

    def __post_init__(self) -> None:
        for name, check in _field_checks(type(self)):
            object.__setattr__(self, name, check(name, getattr(self, name)))

    def __repr__(self) -> str:
        shown = (f"{f.name}={value!r}" for f in fields(self) if (value := getattr(self, f.name)) != f.default)  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(shown)})"


@cache
def _field_checks(cls: type) -> tuple[tuple[str, Check], ...]:
    """The checks that the annotated types of a schedule's fields carry (see `learnrate.checks`)."""

    def found() -> Iterator[tuple[str, Check]]:
        for name, hint in get_type_hints(cls, include_extras=True).items():
            if get_origin(hint) is Annotated:
                for check in get_args(hint)[1:]:
                    yield name, check

    return tuple(found())


def _parts(schedule: Schedule) -> tuple[Schedule, ...]:
    # Chains are kept flat, so that (a >> b) >> c and a >> (b >> c), the same function, are the same value.
    return schedule.parts if isinstance(schedule, Chain) else (schedule,)


@dataclass(frozen=True, repr=False)
class Chain(Schedule):
    """Schedules one after the other: what `a >> b >> c` makes.

    Each part counts from 0 at its own start. A ramp reaches its end value at the count `length`, which is the first update
    of the part that follows: neither end is visited twice.

    Attributes:
        parts: at least two schedules, all finite but perhaps the last.

    Example:
        >>> from learnrate import cosine, warmup
        >>> s = warmup(0.1, 500) >> cosine(0.1, 0, 9_500)
        >>> s(500), s.length
        (0.1, 10000)
    """

    parts: tuple[Schedule, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        if len(self.parts) < 2 or not all(isinstance(part, Schedule) for part in self.parts):
            raise ArgumentTypeError(f"the parts of a chain must be two schedules or more, received {self.parts!r}")
        for part in self.parts[:-1]:
            if part.length is None:
                raise ArgumentError(
                    f"what stands before >> must be finite, received the endless {part!r}: "
                    "give it a number of cycles or a length"
                )

    @property
    def length(self) -> int | None:
        """Sum of the parts' lengths in updates; None where the last part is endless."""
        last = self.parts[-1].length
        return None if last is None else last + sum(part.length or 0 for part in self.parts[:-1])

    def _at(self, n: Any, xp: Namespace) -> Any:
        head = self.parts[0]
        value, start = head._at(n, xp), head.length or 0
        for part in self.parts[1:]:
            # All parts are evaluated everywhere, as tracing demands; the count is clipped so that none sees one below 0.
            value = xp.where(n < start, value, part._at(xp.clip(n - start, 0, None), xp))
            start += part.length or 0
        return value

    def _span(self) -> int:
        return sum(part._span() for part in self.parts)

    def __repr__(self) -> str:
        return " >> ".join(map(repr, self.parts))
