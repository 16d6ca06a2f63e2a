"""The record of a range test."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from learnrate import checks, records
from learnrate.errors import ArgumentError
from learnrate.finder import arrays, rules, summary
from learnrate.finder.arrays import Counts
from learnrate.finder.bounds import Bounds, NoAnswer
from learnrate.finder.season import cleaned
from learnrate.finder.smoothing import Floats, smooth
from learnrate.finder.stops import Ended
from learnrate.finder.tables import columns
from learnrate.records import Fields
from learnrate.tables import as_csv, as_frame

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

Rule = Callable[["Curve"], Bounds | NoAnswer]
"""Reads bounds off a curve: one of `learnrate.rules`, or the user's own function."""


@dataclass(frozen=True, eq=False)
class Curve:
    """Loss (and further metrics) against the LR, with one entry for each update of a range test; or a mean (`merge`).

    Attributes:
        lrs: The LR of each update, never falling, above 0 (the first may be 0); shape (updates,), float64, read-only.
        losses: The loss of each update, computed before its optimizer step; NaN or infinite at the end, or where a
            batch was at fault; infinite beyond 1e150. Same shape.
        metrics: Further series by name, each of the same shape; NaN at updates where the metric was not measured.
        notes: What a reader should know: why the sweep ended, where the batches were started again.
        updates_per_epoch: Length of an epoch in updates, if known.
        ended: "swept" if all LRs were tried; otherwise "diverged", "not finite", "stopped" (by the user's own rule), "out of
            time", "out of batches", or "interrupted".
        updates: The number of each update in its sweep, counted from 0; int64, read-only.
        seeds: The seed of the sweep, or of each sweep of a mean; empty if none was set.
        skipped: Numbers of the updates that the gradient scaler skipped and that were repeated, once for each skip.
        sweeps: The curves of which this one is the mean; empty for a single sweep.

    Raises:
        ArgumentError: if the series differ in shape, or if the LRs fall or are not above 0 after the first.
    """

    lrs: Floats
    losses: Floats
    metrics: Mapping[str, Floats] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    updates_per_epoch: int | None = None
    ended: Ended = "swept"
    updates: Counts = None  # type: ignore[assignment]
    seeds: tuple[int, ...] = ()
    skipped: tuple[int, ...] = ()
    sweeps: tuple["Curve", ...] = ()

    def __post_init__(self) -> None:
        lrs, losses = arrays.floats("lrs", self.lrs), arrays.losses("losses", self.losses)
        updates = arrays.counts("updates", np.arange(len(lrs)) if self.updates is None else self.updates)
        metrics = arrays.metrics("metrics", self.metrics)
        for name, values in {"losses": losses, "updates": updates, **metrics}.items():
            if values.shape != lrs.shape:
                raise ArgumentError(f"{name} must be as long as lrs ({len(lrs)}), received {len(values)}")
        if not (np.all(np.isfinite(lrs)) and np.all(lrs >= 0) and np.all(lrs[1:] > 0) and np.all(np.diff(lrs) >= 0)):
            raise ArgumentError(
                "lrs must be finite, never falling and above 0, of which the first may be 0: a range test raises the LR"
            )
        if len(lrs) and lrs[-1] > checks.LARGEST_LR:
            checks.refuse("the last of lrs", "at most 1e30", lrs[-1], "no optimizer computes with more in single precision")
        checks.choice("ended", self.ended, get_args(Ended))
        checked = {
            "lrs": lrs,
            "losses": losses,
            "updates": updates,
            "metrics": metrics,
            "notes": (self.notes,) if isinstance(self.notes, str) else checks.several(checks.text)("notes", self.notes),
            "updates_per_epoch": checks.optional(checks.length)("updates_per_epoch", self.updates_per_epoch),
            "seeds": checks.several(checks.seed)("seeds", self.seeds),
            "skipped": checks.several(partial(checks.whole, at_least=0, at_most=checks.LONGEST))("skipped", self.skipped),
            "sweeps": checks.several(self._checked_sweep)("sweeps", self.sweeps),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def _checked_sweep(self, name: str, sweep: object) -> "Curve":
        if not isinstance(sweep, Curve):
            checks.refuse_type(name, "a Curve", sweep)
        if sweep.sweeps:
            raise ArgumentError(f"{name} must be a single sweep, received the mean of {len(sweep.sweeps)}: use Curve.merge")
        if len(sweep) != len(self.lrs) or not set(self.metrics) <= set(sweep.metrics):
            raise ArgumentError(f"{name} must have the length and the metrics of the curve: use Curve.merge")
        if np.any(np.isfinite(self.losses) & ~np.isfinite(sweep.losses)):
            raise ArgumentError(f"{name} must have finite losses where the curve has them: use Curve.merge")
        return sweep

    def __repr__(self) -> str:
        return summary.text(self)

    def _repr_html_(self) -> str:
        """What a notebook shows: a summary, the bounds with their reasons, and the figure."""
        from learnrate.finder.page import notebook

        return notebook(self, self.bounds())

    def __len__(self) -> int:
        return len(self.lrs)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Curve):
            return NotImplemented
        return all(arrays.equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        values = [getattr(self, f.name) for f in fields(self)]
        return Curve, tuple(dict(value) if isinstance(value, Mapping) else value for value in values)

    def where(self, keep: NDArray[np.bool_] | slice) -> "Curve":
        """The part of the curve at some of the updates.

        Args:
            keep: A boolean array of the curve's length, or a slice.
        """
        keep = arrays.selection("keep", keep, len(self))
        metrics = {name: values[keep] for name, values in self.metrics.items()}
        sweeps = tuple(sweep.where(keep) for sweep in self.sweeps)
        series = {name: getattr(self, name)[keep] for name in ("lrs", "losses", "updates")}
        return replace(self, metrics=metrics, sweeps=sweeps, **series)

    def of(self, metric: str) -> "Curve":
        """The curve with one of its metrics as the loss, for example to read bounds off one of several losses.

        Args:
            metric: Name of the metric, of which lower values must be better.

        Raises:
            ArgumentError: if the curve has no such metric.
        """
        if checks.text("metric", metric) not in self.metrics:
            raise ArgumentError(
                f"metric must be one of the curve's metrics {checks.shown(sorted(self.metrics))}, "
                f"received {checks.shown(metric)}"
            )
        sweeps = tuple(sweep.of(metric) for sweep in self.sweeps)
        return replace(self, losses=self.metrics[metric], sweeps=sweeps)

    def finite(self) -> "Curve":
        """The part of the curve whose losses are finite."""
        keep = np.isfinite(self.losses)
        return self if keep.all() else self.where(keep)

    def above_zero(self) -> "Curve":
        """The part of the curve that rules read: a linear sweep may start at LR 0, where nothing is trained."""
        return self.where(slice(1, None)) if len(self) and self.lrs[0] == 0 else self

    @classmethod
    def merge(cls, curves: Iterable["Curve"]) -> "Curve":
        """The mean of several sweeps over the same LRs, for example with different seeds.

        The merged curve keeps its sweeps, so it has a band. It ends where the shortest sweep ends, because further on it
        would not be the mean of all sweeps.

        Args:
            curves: Curves over the same LRs, of any lengths.

        Returns:
            A curve whose intervals (`bounds().intervals`) include the choice of the sweeps.

        Raises:
            ArgumentError: if there are no curves, or if their LRs differ.

        Example:
            >>> first = Curve([0.1, 0.2, 0.4], [3.0, 2.0, 1.0], seeds=(0,))
            >>> second = Curve([0.1, 0.2], [5.0, 4.0], seeds=(1,))
            >>> merged = Curve.merge([first, second])
            >>> merged.losses.tolist(), merged.seeds
            ([4.0, 3.0], (0, 1))
        """
        curves = checks.several(checks.instance(Curve, "a Curve"))("curves", curves)
        sweeps = [sweep for curve in curves for sweep in (curve.sweeps or (curve,))]
        if not sweeps:
            raise ArgumentError("curves must be at least one, received none")
        shortest = min(sweeps, key=len)
        updates = len(shortest)
        parts = [sweep.where(slice(updates)) for sweep in sweeps]
        if not all(np.array_equal(part.lrs, shortest.lrs) for part in parts):
            raise ArgumentError("curves must be over the same LRs: use the same low, high and updates for each sweep")
        shared = [name for name in shortest.metrics if all(name in part.metrics for part in parts)]
        lengths = {sweep.updates_per_epoch for sweep in sweeps}
        return cls(
            shortest.lrs,
            arrays.mean([part.losses for part in parts]),
            {name: arrays.mean([part.metrics[name] for part in parts]) for name in shared},
            tuple(f"sweep {number}: {note}" for number, sweep in enumerate(sweeps, 1) for note in sweep.notes),
            lengths.pop() if len(lengths) == 1 else None,
            next((sweep.ended for sweep in sweeps if len(sweep) == updates and sweep.ended != "swept"), shortest.ended),
            shortest.updates,
            tuple(seed for sweep in sweeps for seed in sweep.seeds),
            sweeps=tuple(parts),
        )

    def smoothed(self, width: float | None = None) -> Floats:
        """The losses without their batch noise.

        If the losses are periodic, as they are for sorted data, the periodic part is removed first. A running median of five
        removes single spikes. Then each loss becomes the Gaussian-weighted mean of its neighbours. The weights sum to 1 at
        the ends too, so a constant stays constant. They extend to both sides, so nothing is shifted to higher LRs, as an
        exponential average would do. Losses that are not finite have no weight. Losses above the level at the start by more
        than the curve falls below it are divergence, and are limited to that height.

        Args:
            width: Standard deviation of the weights, in updates; by default 3 % of the curve's length, and at least 1.

        Returns:
            Array of the curve's length; all NaN if no loss is finite.
        """
        if width is not None:
            # Outside these limits the weights no longer change: a single one, or all of them equal.
            width = min(max(checks.positive("width", width), 1e-3), 1e6 * max(1, len(self)))
        return smooth(self.cleaned, width)

    @cached_property
    def cleaned(self) -> Floats:
        """The losses with a limit on divergence and without what repeats in them (see `smoothed`), before smoothing."""
        return cleaned(self.losses)

    def band(self, width: float | None = None) -> tuple[Floats, Floats]:
        """The lowest and the highest smoothed loss of the sweeps at each LR. For a single sweep, both are its smoothed loss.

        Args:
            width: As for `smoothed`.

        Returns:
            Two arrays of the curve's length.
        """
        lines = [sweep.smoothed(width) for sweep in self.sweeps or (self,)]
        return np.min(lines, axis=0), np.max(lines, axis=0)

    def bounds(self, rule: Rule | None = None) -> Bounds | NoAnswer:
        """Read the bounds off the curve.

        Args:
            rule: One of `learnrate.rules`, or your own function from a curve to bounds; `rules.descent` by default.

        Returns:
            `Bounds` with reasons, or `NoAnswer` with the reason and what would give an answer.
        """
        if rule is None:
            return rules.descent(self)
        if not callable(rule):
            checks.refuse_type("rule", "a function such as learnrate.rules.valley", rule)
        answer = rule(self)
        if not isinstance(answer, (Bounds, NoAnswer)):
            checks.refuse_type("what rule returns", "Bounds or NoAnswer", answer)
        return answer

    def plot(self, ax: "Axes | None" = None, *, rule: Rule | None = None, metric: str | None = None) -> "Axes":
        """Draw the curve with the bounds that a rule reads off it, and return the axes.

        Args:
            ax: The axes to draw in; a new figure by default.
            rule: As for `bounds`.
            metric: Draw this metric instead of the loss: "accuracy" gives the figure of the CLR paper.

        Raises:
            ArgumentError: if the curve has no such metric.
            MissingExtraError: if matplotlib is not installed.
        """
        from learnrate.finder.figure import draw_curve

        if metric is None:
            return draw_curve(self, self.bounds(rule), ax)
        return draw_curve(self.of(metric).finite(), self.bounds(rule), ax, metric)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a table with the columns sweep, update, lr, loss and one for each metric, and one row for each update.

        A failed write leaves no partial file.

        Raises:
            OutputError: if the file cannot be written.
        """
        records.write_atomically(path, as_csv(columns(self)).encode("utf-8", "backslashreplace"))

    def to_pandas(self) -> "pd.DataFrame":
        """The table of `to_csv` as a pandas DataFrame.

        Raises:
            MissingExtraError: if pandas is not installed.
        """
        return as_frame(columns(self))

    def to_html(self, path: str | os.PathLike[str], *, rule: Rule | None = None) -> None:
        """Write the curve, with the bounds that a rule reads off it, as one HTML file with hover and zoom.

        The file needs no network and no other file.

        Args:
            path: The file; an existing one is replaced. A failed write leaves no partial file.
            rule: As for `bounds`.

        Raises:
            MissingExtraError: if plotly is not installed.
            OutputError: if the file cannot be written.
        """
        from learnrate.finder.page import write_curve

        write_curve(self, self.bounds(rule), path)

    def as_record(self) -> dict[str, Any]:
        """The curve as a JSON object."""

        def encoded(values: Floats) -> list[float | str]:
            return [records.encode_float(value) for value in values]

        return {
            "lrs": encoded(self.lrs),
            "losses": encoded(self.losses),
            "metrics": {name: encoded(values) for name, values in self.metrics.items()},
            "notes": list(self.notes),
            "updates_per_epoch": self.updates_per_epoch,
            "ended": self.ended,
            "updates": self.updates.tolist(),
            "seeds": list(self.seeds),
            "skipped": list(self.skipped),
            "sweeps": [sweep.as_record() for sweep in self.sweeps],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Curve":
        """The inverse of `as_record`."""
        fields = Fields(record)
        return cls(
            fields.read("lrs", _series),
            fields.read("losses", _series),
            fields.read("metrics", _decoded_metrics),
            fields.read("notes", checks.several(checks.text)),
            fields["updates_per_epoch"],
            fields["ended"],
            fields.read("updates", arrays.counts),
            fields["seeds"],
            fields["skipped"],
            fields.read("sweeps", checks.several(records.nested(_single_sweep))),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the curve as JSON. A failed write leaves no partial file.

        Raises:
            OutputError: if the file cannot be written.
        """
        records.save(path, "curve", self.as_record())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Curve":
        """Read a curve that `save` wrote.

        Raises:
            OutputError: if the file cannot be read, or does not contain a curve.
        """
        return records.load(path, "curve", cls.from_record)


def _series(name: str, values: object) -> Floats:
    return np.array(records.decode_floats(name, values), dtype=np.float64)


def _decoded_metrics(name: str, content: Any) -> dict[str, Floats]:
    series = records.nested(Fields)(name, content).content
    return {key: _series(f"{name}[{checks.shown(key)}]", values) for key, values in series.items()}


def _single_sweep(record: Any) -> Curve:
    if Fields(record)["sweeps"]:
        raise ArgumentError("sweeps must be empty for a part of a mean")
    return Curve.from_record(record)
