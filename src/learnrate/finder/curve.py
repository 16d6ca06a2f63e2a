"""The record of a range test."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from learnrate import checks, records
from learnrate.errors import ArgumentError
from learnrate.finder import rules
from learnrate.finder.bounds import Bounds, NoAnswer
from learnrate.finder.descent import capped
from learnrate.finder.smoothing import Floats, smooth

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def _floats(name: str, values: ArrayLike) -> Floats:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArgumentError(f"{name} must be a sequence of numbers, received {values!r}") from None
    if array.ndim != 1:
        raise ArgumentError(f"{name} must have one dimension, received shape {array.shape}")
    array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False)
class Curve:
    """Loss (and further metrics) against the LR, one entry an update of a range test.

    Attributes:
        lrs: The LR of each update, above 0 and rising; shape (updates,), float64, read-only.
        losses: The loss that each update saw before it was made; the last may be NaN or infinite. Same shape.
        metrics: Further series by name, each of the same shape.
        notes: What a reader should know: why the sweep ended, where the batches were started again.
        updates_per_epoch: Length of an epoch, where the sweep learned it.
        ended: "swept" where all LRs were tried, "diverged" where the loss rose too far, "not finite" where it was lost.

    Raises:
        ArgumentError: if the series differ in shape, or the LRs are not above 0 and rising.
    """

    lrs: Floats
    losses: Floats
    metrics: Mapping[str, Floats] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    updates_per_epoch: int | None = None
    ended: Literal["swept", "diverged", "not finite"] = "swept"

    def __post_init__(self) -> None:
        lrs, losses = _floats("lrs", self.lrs), _floats("losses", self.losses)
        metrics = {name: _floats(f"metrics[{name!r}]", values) for name, values in self.metrics.items()}
        for name, values in {"losses": losses, **metrics}.items():
            if values.shape != lrs.shape:
                raise ArgumentError(f"{name} must be as long as lrs ({len(lrs)}), received {len(values)}")
        if not (np.all(np.isfinite(lrs)) and np.all(lrs > 0) and np.all(np.diff(lrs) > 0)):
            raise ArgumentError("lrs must be finite, above 0 and rising: a curve has one loss for each LR")
        object.__setattr__(self, "lrs", lrs)
        object.__setattr__(self, "losses", losses)
        object.__setattr__(self, "metrics", MappingProxyType(metrics))
        checks.choice("ended", self.ended, ("swept", "diverged", "not finite"))
        notes = (self.notes,) if isinstance(self.notes, str) else tuple(self.notes)
        object.__setattr__(self, "notes", notes)

    def __len__(self) -> int:
        return len(self.lrs)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Curve):
            return NotImplemented
        return (
            np.array_equal(self.lrs, other.lrs)
            and np.array_equal(self.losses, other.losses, equal_nan=True)
            and self.metrics.keys() == other.metrics.keys()
            and all(np.array_equal(self.metrics[k], other.metrics[k], equal_nan=True) for k in self.metrics)
            and (self.notes, self.updates_per_epoch, self.ended) == (other.notes, other.updates_per_epoch, other.ended)
        )

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        return Curve, (self.lrs, self.losses, dict(self.metrics), self.notes, self.updates_per_epoch, self.ended)

    def finite(self) -> "Curve":
        """The part of the curve whose losses are finite."""
        keep = np.isfinite(self.losses)
        if keep.all():
            return self
        metrics = {name: values[keep] for name, values in self.metrics.items()}
        return replace(self, lrs=self.lrs[keep], losses=self.losses[keep], metrics=metrics)

    def smoothed(self, width: float | None = None) -> Floats:
        """The losses without their batch noise.

        A running median of five removes single spikes; then each loss becomes the Gaussian-weighted mean of its neighbours.
        The weights sum to 1 at the ends too, so a constant stays constant, and lie on both sides, so nothing is shifted
        towards higher LRs as by an exponential average. Losses that are not finite weigh nothing; those further above the
        level at the start than the curve falls below it are divergence, and count as that far.

        Args:
            width: Standard deviation of the weights in updates; by default 3 % of the curve's length, at least 1.

        Returns:
            Array of the curve's length; NaN throughout where no loss is finite.
        """
        return smooth(capped(self.losses), width)

    def bounds(self, rule: "Callable[[Curve], Bounds | NoAnswer] | None" = None) -> "Bounds | NoAnswer":
        """Read the bounds off the curve.

        Args:
            rule: One of `learnrate.rules`, or your own function from a curve to bounds; `rules.descent` by default.

        Returns:
            `Bounds` with reasons, or `NoAnswer` with the reason and what would give an answer.
        """
        return (rule or rules.descent)(self)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the curve with the bounds that the default rule reads off it, and return the axes.

        Args:
            ax: The axes to draw in; a new figure by default.

        Raises:
            MissingExtraError: if matplotlib is not installed.
        """
        from learnrate import plots

        return plots.draw_curve(self, self.bounds(), ax)

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the curve, with the bounds that the default rule reads off it, as one HTML file with hover and zoom.

        The file is whole in itself: it opens without a network.

        Args:
            path: The file, whole or not at all; one that is there is replaced.

        Raises:
            MissingExtraError: if plotly is not installed.
            OutputError: if the file cannot be written.
        """
        from learnrate import pages

        pages.write_curve(self, self.bounds(), path)

    def as_record(self) -> dict[str, Any]:
        """The curve as JSON holds it."""

        def encoded(values: Floats) -> list[float | str]:
            return [records.encode_float(value) for value in values]

        return {
            "lrs": encoded(self.lrs),
            "losses": encoded(self.losses),
            "metrics": {name: encoded(values) for name, values in self.metrics.items()},
            "notes": list(self.notes),
            "updates_per_epoch": self.updates_per_epoch,
            "ended": self.ended,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Curve":
        """The inverse of `as_record`."""

        def decoded(values: list[float | str]) -> Floats:
            return np.array([float(value) for value in values])

        return cls(
            decoded(record["lrs"]),
            decoded(record["losses"]),
            {name: decoded(values) for name, values in record["metrics"].items()},
            tuple(record["notes"]),
            record["updates_per_epoch"],
            record["ended"],
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the curve as JSON, whole or not at all.

        Raises:
            OutputError: if the file cannot be written.
        """
        records.save(path, "curve", self.as_record())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Curve":
        """Read a curve that `save` wrote.

        Raises:
            OutputError: if the file cannot be read or holds no curve.
        """
        return records.load(path, "curve", cls.from_record)
