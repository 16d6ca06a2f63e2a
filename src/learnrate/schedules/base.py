"""The base class of all schedules: a frozen value that is a pure function of the update count."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import fields, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, overload

import numpy as np

from learnrate import checks
from learnrate.errors import ArgumentError
from learnrate.schedules import durations, functions, tree
from learnrate.schedules.durations import Horizon
from learnrate.schedules.numerics import (
    BLOCK,
    NUMBERS,
    Namespace,
    as_given,
    ascending,
    counted,
    has_32_bits,
    in_blocks,
    in_range,
    require_room,
)
from learnrate.schedules.shown import Shown

if TYPE_CHECKING:
    from learnrate.schedules.arithmetic import Product, Scaled, Sum
    from learnrate.schedules.combine import Clipped, Mirrored, Rebased, Repeated, Shifted, Staircase


class Schedule(Shown):
    """A pure function from the update count to the value of a hyper-parameter, such as the learning rate.

    A schedule is a value. Its fields are public and frozen, it compares and hashes by its fields, and `repr` prints the
    expression that rebuilds it, which `learnrate.parse` reads. It has no optimizer and no state, so resuming needs only the
    update count.

    Schedules combine: `a >> b` is first a, then b; `s * 0.5` and `s * t` are products, `s + t` is a sum; the methods
    `repeat`, `clip`, `mirrored`, `staircase`, `rebase` and `shift` return a changed schedule.

    A length is a number of updates or a text: "3 epochs", "5%" of the run, "2e9 tokens", or "rest" for the remaining
    updates of the run. A schedule with a text as length has no values until `resolve` replaces the text with a number.
    """

    if TYPE_CHECKING:
        # At run time this property would prevent subclasses from having a field `length`.
        @property
        def length(self) -> int | str | None:
            """Number of updates after which the value is constant; None if there is no end; a text if unresolved."""

    _precedence: ClassVar[int] = 3
    """How tight the outermost operator of the printed form binds: 0 for >>, 1 for +, 2 for *, 3 for a call."""

    @abstractmethod
    def _at(self, n: Any, xp: Namespace) -> Any:
        """The formula, for counts `n` of at least 0, with the functions of the namespace `xp`."""

    @abstractmethod
    def _range(self) -> tuple[float, float]:
        """A lower and an upper bound of the values at all counts, as tight as is known."""

    def _edges(self, limit: float) -> Iterator[float]:
        """Counts above 0 at which one formula ends and another begins, at least up to `limit`, in any order."""
        if isinstance(self.length, int):
            yield self.length

    def _cycle_ends(self, limit: float) -> Iterator[float]:
        """Counts at which cycles end, at least up to `limit`, in any order."""
        yield from ()

    @overload
    def __call__(self, n: float) -> float: ...
    @overload
    def __call__(self, n: Any) -> Any: ...
    def __call__(self, n: Any) -> Any:
        """The value that update number `n` uses, counted from 0.

        Args:
            n: A Python or NumPy number (at least 0, fractions allowed), or an array of counts of any shape: NumPy, torch,
                CuPy, or JAX (also in a traced function), or a Keras variable.

        Returns:
            A float for a number, and for an array an array of the same shape on the same device. Its dtype is that of `n`
            if `n` holds floats, and the default floating dtype of the library if `n` holds integers.

        Raises:
            ArgumentError: if `n` is a negative or NaN number, or an array in main memory that has one. In an array that is
                traced, compiled or on another device, which cannot be looked at, such a count is taken as 0.
            ArgumentTypeError: if `n` is neither a number nor an array.
            UnresolvedError: if a length is still a text.
        """
        count, xp, given = counted(n)
        if xp is NUMBERS:
            return self._at(count, xp)
        if has_32_bits(count, xp):
            require_room(tree.greatest_count(self))
        blocks = isinstance(count, np.ndarray) and count.size > BLOCK
        values = in_blocks(self._at, count) if blocks else self._at(in_range(count, xp), xp)
        return as_given(values, given, xp)

    @property
    def min(self) -> float:
        """A lower bound of all values: the lowest value, or the limit that the values approach.

        The values of products, of shifted, rebased and staircase schedules, and of envelopes per update may not reach it.
        """
        return self._range()[0]

    @property
    def max(self) -> float:
        """An upper bound of all values: the highest value, with the same exceptions as `min`."""
        return self._range()[1]

    def boundaries(self, updates: int | None = None) -> tuple[float, ...]:
        """The counts at which one formula ends and another begins: corners, jumps, and the end.

        Args:
            updates: Last count to consider. By default the length of a finite schedule.

        Returns:
            Counts in ascending order; whole numbers are ints.

        Raises:
            ArgumentError: if the schedule has no end and `updates` is not given.

        Example:
            >>> from learnrate import linear, triangular
            >>> triangular(0.1, 0.5, step_size=10).boundaries(45)
            (10, 20, 30, 40)
            >>> (linear(0, 1, 5) >> linear(1, 0, 20)).boundaries()
            (5, 25)
        """
        limit = self._limit(updates)
        return ascending(self._edges(limit), limit)

    def cycle_ends(self, updates: int | None = None) -> tuple[float, ...]:
        """The counts at which it makes sense to stop training: ends of cycles, and the end of a finite schedule.

        Args:
            updates: Last count to consider. By default the length of a finite schedule.

        Returns:
            Counts in ascending order; whole numbers are ints.

        Raises:
            ArgumentError: if the schedule has no end and `updates` is not given.

        Example:
            >>> from learnrate import triangular
            >>> triangular(0.1, 0.5, step_size=10).cycle_ends(45)
            (20, 40)
        """
        limit = self._limit(updates)
        length = known_length(self)
        return ascending([*self._cycle_ends(limit), *([] if length is None else [length])], limit)

    def _limit(self, updates: int | None) -> int:
        for length in tree.lengths(self):
            durations.updates(length)
        if updates is None and self.length is None:
            received = checks.shown(self)
            raise ArgumentError(f"updates must be given for the endless {received}: give the last count to consider")
        return known_length(self) or 0 if updates is None else checks.length("updates", updates)

    def __rshift__(self, after: "Schedule") -> "Schedule":
        """`a >> b`: first a; from update `a.length` on b, which counts from 0. A part of 0 updates is left out."""
        from learnrate.schedules.chain import chained

        return chained((self, require_schedule("the right side of >>", after)))

    def __mul__(self, other: "float | Schedule") -> "Scaled | Product":
        """`s * 0.5`: every value times a number above 0. `s * t`: the product of two schedules."""
        from learnrate.schedules.arithmetic import Product, Scaled

        return Product(self, other) if isinstance(other, Schedule) else Scaled(self, other)

    __rmul__ = __mul__

    def __add__(self, other: "Schedule") -> "Sum":
        """`s + t`: the sum of two schedules."""
        from learnrate.schedules.arithmetic import Sum

        return Sum(self, require_schedule("the right side of +", other))

    def repeat(
        self,
        times: int | None = None,
        *,
        length_growth: float = 1.0,
        value_decay: float = 1.0,
        period: float | str | None = None,
    ) -> "Repeated":
        """This schedule, repeated.

        Args:
            times: Number of repetitions; without end by default.
            length_growth: Factor, at least 1, from the length of one repetition to the length of the next.
            value_decay: Factor in (0, 1] from the values of one repetition to the values of the next.
            period: Length of the first repetition in updates (fractions allowed) or as a text, to which the schedule is
                stretched; its own length by default. Without growth, repetition number k begins at update
                round(k * period). `resolve` sets it where the length of the schedule is no whole number of updates.

        Raises:
            ArgumentError: if the schedule has no end, or a number is out of its range.

        Example:
            >>> from learnrate import linear
            >>> s = linear(1.0, 0.0, length=2).repeat(2, length_growth=2, value_decay=0.5)
            >>> [s(n) for n in range(7)], s.length
            ([1.0, 0.5, 0.5, 0.375, 0.25, 0.125, 0.0], 6)
        """
        from learnrate.schedules.combine import Repeated

        return Repeated(self, times, length_growth, value_decay, period)

    def clip(self, low: float | None = None, high: float | None = None) -> "Clipped":
        """This schedule, with its values limited to [low, high].

        Args:
            low: Lower bound, at least 0; none by default.
            high: Upper bound, above 0; none by default.

        Raises:
            ArgumentError: if neither is given, or `low` is not below `high`.

        Example:
            >>> from learnrate import exponential_decay
            >>> exponential_decay(1.0, 0.5).clip(low=0.1)(10)
            0.1
        """
        from learnrate.schedules.combine import Clipped

        return Clipped(self, low, high)

    def mirrored(self, low: float, high: float) -> "Mirrored":
        """Upside down: `high` where this schedule is at its `min`, `low` where it is at its `max`, linear between them.

        With it the momentum falls while the LR rises, as in the one-cycle policy (Smith, arXiv 1803.09820, section 4.3).

        Args:
            low: Value where this schedule is at its `max`, at least 0.
            high: Value where this schedule is at its `min`, above `low`.

        Raises:
            ArgumentError: if `low` is not below `high`, or this schedule is constant.

        Example:
            >>> from learnrate import one_cycle
            >>> momentum = one_cycle(max_lr=1.0, length=100).mirrored(0.85, 0.95)
            >>> momentum(30), momentum(100)
            (0.85, 0.95)
        """
        from learnrate.schedules.combine import Mirrored

        return Mirrored(self, low, high)

    def staircase(self, every: float | str) -> "Staircase":
        """Constant between multiples of `every`: value(n) = self(every * floor(n / every)), with n limited to the length.

        Args:
            every: Length of a step in updates (fractions allowed), or a text such as "1 epoch". Step number k begins at
                update round(k * every).

        Raises:
            ArgumentError: if `every` is below 1.

        Example:
            >>> from learnrate import linear
            >>> [linear(1.0, 0.0, length=4).staircase(2)(n) for n in range(5)]
            [1.0, 1.0, 0.5, 0.5, 0.0]
        """
        from learnrate.schedules.combine import Staircase

        return Staircase(self, every)

    def rebase(self, at: int, new_length: int) -> "Rebased":
        """A new length during a run: unchanged up to update `at`; the rest is stretched or compressed to `new_length`.

        The value is continuous at `at`, and the rest of the curve keeps its shape.

        Args:
            at: The update from which the change applies.
            new_length: New length in updates, above `at`.

        Raises:
            ArgumentError: if the schedule has no end, or `at` is not below its length and below `new_length`.

        Example:
            >>> from learnrate import linear
            >>> s = linear(1.0, 0.0, length=100).rebase(at=50, new_length=150)
            >>> s(50), s(100), s(150)
            (0.5, 0.25, 0.0)
        """
        from learnrate.schedules.combine import Rebased

        return Rebased(self, at, new_length)

    def shift(self, by: int | str) -> "Shifted":
        """The same curve `by` updates later, after its first value; or, if `by` is negative, -`by` updates earlier.

        Args:
            by: Number of updates, or a text such as "2 epochs" or "-5%".

        Raises:
            ArgumentError: if nothing of the schedule would remain.

        Example:
            >>> from learnrate import linear
            >>> s = linear(1.0, 0.0, length=10)
            >>> s.shift(5)(10), s.shift(-5)(0), s.shift(5).length
            (0.5, 0.5, 15)
        """
        from learnrate.schedules.combine import Shifted

        return Shifted(self, by)

    @property
    def is_resolved(self) -> bool:
        """Whether all lengths are known in updates."""
        return not any(isinstance(length, str) for length in tree.lengths(self))

    def resolve(self, horizon: "int | Horizon") -> "Schedule":
        """This schedule with every length in updates.

        "5%" is a share of the updates of the run; "rest" is what the other parts of a chain leave. Lengths are rounded to
        whole updates, except those that are repeated, such as the period of a cycle, whose multiples are rounded. In a
        chain, where a part ends is rounded, so that rounded lengths do not add up. A part that gets 0 updates is left out.

        Args:
            horizon: Length of the run in updates, or a `Horizon`, which also has updates per epoch and tokens per update.

        Raises:
            ArgumentError: if the horizon does not have what a unit needs, or nothing is left for "rest".

        Example:
            >>> from learnrate import cosine, warmup
            >>> (warmup(0.1, "5%") >> cosine(0.1, 0)).resolve(1000)
            warmup(max_lr=0.1, length=50) >> cosine(start=0.1, end=0.0, length=950)
        """
        run = durations.horizon(horizon)
        return self._resolve(run, run.updates)

    def _resolve(self, horizon: Horizon, rest: int | None) -> "Schedule":
        if self.is_resolved:
            return self
        own = tree.own_lengths(self).items()
        lengths = {name: durations.resolved(check, value, horizon, rest) for name, (check, value) in own}
        parts = {
            field.name: value._resolve(horizon, rest)
            for field in fields(self)  # type: ignore[arg-type]
            if isinstance(value := getattr(self, field.name), Schedule)
        }
        return replace(self, **lengths, **parts)  # type: ignore[type-var]

    def _exact_length(self, horizon: Horizon) -> Fraction:
        """Length in updates before it is rounded, of a schedule that ends and does not take the rest of the run."""
        _, length = tree.own_lengths(self).get("length", (None, None))
        return horizon.exactly(length or known_length(self._resolve(horizon, None)) or 0)

    def _span(self) -> int:
        """Number of updates that a picture shows by default."""
        return known_length(self) or 5 * tree.greatest_count(self) or 100

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from learnrate.schedules.pydantic_schema import core_schema_of

        return core_schema_of(cls)

    def __post_init__(self) -> None:
        checks.check_fields(self)

    def __repr__(self) -> str:
        arguments = (
            f"{f.name}={repr(value) if isinstance(value, Schedule) or not callable(value) else functions.shown(value)}"
            for f in fields(self)  # type: ignore[arg-type]
            if (value := getattr(self, f.name)) != f.default
        )
        return f"{type(self).__name__}({', '.join(arguments)})"


def require_schedule(name: str, value: object) -> Schedule:
    """A check: a schedule."""
    if not isinstance(value, Schedule):
        checks.refuse_type(name, "a schedule", value, "for a constant value, write constant(value)")
    return value


def known_length(schedule: Schedule) -> int | None:
    """Length of a resolved schedule in updates; None if it has no end."""
    return None if schedule.length is None else durations.updates(schedule.length)
