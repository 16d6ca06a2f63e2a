"""The one-cycle policy (Smith and Topin, arXiv 1708.07120; Smith, arXiv 1803.09820)."""

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any, Literal, Self

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.errors import ArgumentError
from learnrate.schedules import durations
from learnrate.schedules.base import Schedule
from learnrate.schedules.durations import REST, updates
from learnrate.schedules.numerics import Namespace, in_pieces
from learnrate.schedules.shapes import BY_NAME, Shape, between

__all__ = ["one_cycle"]


def _pct_start(name: str, value: object) -> float:
    share = checks.finite(name, value)
    if not 0 < share < 1:
        remedy = "for a fall only, use cosine(max_lr, end, length); for a rise only, warmup(max_lr, length)"
        checks.refuse(name, "strictly between 0 and 1", value, remedy)
    return share


@frozen
class one_cycle(Schedule):
    """The one-cycle policy: a rise to a high LR, then a fall to far below the first LR.

    The LR rises from max_lr / div_factor to max_lr in pct_start * length updates, then falls to
    max_lr / (div_factor * final_div_factor) at update `length`. With phases=2 it falls at once; with phases=3 it first falls
    back to max_lr / div_factor in another pct_start * length updates. Each phase is half a cosine wave, or linear.

    Publications differ in the numbers: `one_cycle.paper`, `one_cycle.fastai_v1`, `one_cycle.fastai_v2` and `one_cycle.torch`
    are their forms.

    Args:
        max_lr: The peak, above 0.
        length: Number of updates or a text; by default the rest of the run.
        pct_start: Share of the length for the rise, strictly between 0 and 1; below 1/2 with three phases. For a fall only,
            use `cosine`.
        div_factor: max_lr / value at update 0, at least 1.
        final_div_factor: Value at update 0 / value at the end, at least 1.
        shape: "cosine" or "linear".
        phases: 2 or 3.

    Raises:
        ArgumentError: if a number is out of its range or `shape` is another word.

    Example:
        >>> s = one_cycle(max_lr=1.0, length=10_000)
        >>> s(0), s(3_000), round(s(10_000), 9)
        (0.04, 1.0, 4e-06)
    """

    max_lr: float = checked(checks.positive_or_traced)
    length: int | str = checked(durations.length, default=REST)
    pct_start: float = checked(_pct_start, default=0.3)
    div_factor: float = checked(checks.factor, default=25.0)
    final_div_factor: float = checked(checks.factor, default=1e4)
    shape: Literal["cosine", "linear"] = "cosine"
    phases: int = checked(checks.length, default=2)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.phases not in (2, 3):
            checks.refuse("phases", "2 or 3", self.phases)
        if self.phases == 3 and self.pct_start >= 0.5:
            checks.refuse(
                "pct_start", "below 1/2 with three phases", self.pct_start, "the second phase is as long as the first"
            )

    @classmethod
    def paper(cls, max_lr: float, length: int | str = REST, *, div_factor: float = 10.0, final: float = 0.1) -> Self:
        """Three linear phases: up to max_lr, back to max_lr / div_factor, then down by a further factor of 100.

        Smith (arXiv 1803.09820, section 4.1): one cycle slightly shorter than the run, a lower bound of 1/20 to 1/3 of the
        upper bound, then "several orders of magnitude" below the start. The numbers of the last phase are those of the CIFAR
        experiments of Smith and Topin (arXiv 1708.07120).

        Args:
            max_lr: The peak, above 0.
            length: Number of updates or a text.
            div_factor: max_lr / value at update 0.
            final: Share of the length for the last phase, strictly between 0 and 1.

        Raises:
            ArgumentError: if a number is out of its range.

        Example:
            >>> s = one_cycle.paper(max_lr=1.0, length=100)
            >>> s(0), s(45), s(90), round(s(100), 9)
            (0.1, 1.0, 0.1, 0.001)
        """
        share = checks.fraction("final", final)
        return cls(max_lr, length, (1 - share) / 2, div_factor, 100.0, "linear", 3)

    @classmethod
    def fastai_v1(cls, max_lr: float, length: int | str = REST) -> Self:
        """The defaults of fastai 1: `fit_one_cycle(cyc_len, max_lr)`. fastai moves momentum from 0.95 to 0.85 and back.

        Args:
            max_lr: The peak, above 0.
            length: Number of updates or a text.
        """
        return cls(max_lr, length, 0.3, 25.0, 1e4)

    @classmethod
    def fastai_v2(cls, max_lr: float, length: int | str = REST) -> Self:
        """The defaults of fastai 2: `fit_one_cycle(n_epoch, lr_max, div=25, div_final=1e5, pct_start=0.25)`.

        Args:
            max_lr: The peak, above 0.
            length: Number of updates or a text.
        """
        return cls(max_lr, length, 0.25, 25.0, 1e5 / 25)

    @classmethod
    def torch(
        cls,
        max_lr: float,
        total_steps: int,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> Self:
        """The values of torch's OneCycleLR with the same arguments.

        OneCycleLR reaches its peak at update pct_start * total_steps - 1 and its end at total_steps - 1, so the length is
        total_steps - 1.

        Args:
            max_lr: The peak, above 0.
            total_steps: Number of updates, at least 2.
            pct_start: Share of the updates for the rise, strictly between 0 and 1.
            anneal_strategy: "cos" or "linear".
            div_factor: max_lr / value at update 0.
            final_div_factor: Value at update 0 / value at the end.
            three_phase: Whether the LR first falls back to its start, then to its end.

        Raises:
            ArgumentError: if a number is out of its range, or if a phase would have no update, where OneCycleLR divides by
                zero.

        Example:
            >>> one_cycle.torch(max_lr=1.0, total_steps=101)(100)
            4e-06
        """
        length = checks.whole("total_steps", total_steps, at_least=2) - 1
        rise = _pct_start("pct_start", pct_start) * total_steps - 1
        if not 0 < rise < length or (three_phase and 2 * rise >= length):
            raise ArgumentError(
                "pct_start * total_steps must give each phase at least a part of an update, received "
                f"{checks.shown(pct_start)} of {checks.shown(total_steps)}: give more updates"
            )
        shape = {"cos": "cosine", "linear": "linear"}[checks.choice("anneal_strategy", anneal_strategy, ("cos", "linear"))]
        phases = 3 if three_phase else 2
        return cls(max_lr, length, rise / length, div_factor, final_div_factor, shape, phases)  # type: ignore[arg-type]

    def _points(self) -> list[tuple[float, float]]:
        """Count and value at the ends of the phases."""
        length = updates(self.length)
        peak = self.pct_start * length
        first = self.max_lr / self.div_factor
        points = [(0.0, first), (peak, self.max_lr), (float(length), first / self.final_div_factor)]
        return points if self.phases == 2 else [*points[:2], (2 * peak, first), points[2]]

    def _at(self, n: Any, xp: Namespace) -> Any:
        shape = BY_NAME[self.shape]
        phases = [
            (begin, partial(_phase, start=start, end=end, shape=shape, length=stop - begin))
            for (begin, start), (stop, end) in pairwise(self._points())
        ]
        return in_pieces(n, phases, xp)

    def _range(self) -> tuple[float, float]:
        return self.max_lr / self.div_factor / self.final_div_factor, self.max_lr

    def _edges(self, limit: float) -> Iterator[float]:
        yield from (count for count, _ in self._points())


def _phase(n: Any, xp: Namespace, *, start: float, end: float, shape: Shape, length: float) -> Any:
    return between(start, end, shape, n, length, xp)
