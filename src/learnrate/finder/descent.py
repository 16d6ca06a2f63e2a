"""Where the loss of a range test begins to fall, falls fastest and stops falling, and whether the fall is significant."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from learnrate.finder.levels import ROUNDED, capped, capped_each, difference_noise, level, noise_of_each, rounding
from learnrate.finder.order import cycle_of_batches, is_sorted, moving_average
from learnrate.finder.season import cleaned
from learnrate.finder.series import flattens, lows_of_falls, ragged
from learnrate.finder.smoothing import Floats, running_median, smooth, smoothed_noise, usual_width

SIGNIFICANT = 7.0
"""A fall is significant if it is this many standard deviations of the smoothed noise. In sweeps of 20 to 300 updates of pure
noise that is independent from update to update, 1 (normal) to 7 (log-normal) in 1,000 fall this far, because the minimum is
taken over the whole curve."""

LIKELY = 4.0
"""A fall that is significant in the logarithm is this many standard deviations of the smoothed noise in the loss too: the
logarithm enlarges the lowest losses, whatever they are."""

STEADY = 2.25
"""A fall is significant if it is this many times the largest deviation of the loss before it. Noise that is correlated from
update to update does not show in the differences of neighbours, but it makes the smoothed loss drift from the start."""

SHALLOW = 1 / 3
"""A rise ends the fall only if the fall before it is more than this fraction of the deepest fall before a divergence: a loss
that falls less, rises and then falls much further had a ripple of the data, or a drift."""

DIVERGED = 0.75
"""A loss this far above the start, in units of the deepest fall, has diverged: what comes later is the training of a broken
model, and may fall to any level. It is below 1, because losses are limited to 1 (see `capped`) and then smoothed."""

REMAINS = 0.1
"""Fraction of what repeats that may remain after its removal: the batches of an order do not only differ, but differ in how
much they change while the model learns."""

OF_MEANS = 0.5
"""Fraction of the fall by which the mean loss over one cycle of batches falls at least. It is below 1, because a mean over a
cycle does not reach the lowest loss."""

LONGER = 0.75
"""A cycle is long if it is longer than this fraction of the fall: within it, batches that were shuffled once are as good as
new ones, and a mean over it no longer shows the fall."""

AWAY = 0.75
"""Fraction of a cycle by which the end of the fall of these means may differ from the end of the fall: a mean over a cycle
moves it by up to a half."""

FLOOR = 0.05
"""Height of the lowest loss in the logarithm, as a fraction of the fall: what is less is not told from its end."""

END_WIDTH = 1.0
"""Smoothing, in updates, of the losses in which the end of the fall is located."""


@dataclass(frozen=True)
class Descent:
    """The fall of the loss in a range test.

    Attributes:
        start: Level of the loss before it falls: the median of the first tenth.
        lowest: The lowest smoothed loss of the fall.
        noise: Standard deviation of the batch noise.
        deviation: Largest deviation of the smoothed loss from `start` before the fall begins.
        begin: Position from which at least a tenth of the fall remains done (more than a tenth if the noise requires it).
        steepest: Position at which the loss falls fastest from update to update.
        bottom: Position of the lowest smoothed loss.
        end: Last position at which the loss is as low as at the bottom, within its noise.
        end_cause: What ends the fall: a "rise" of the loss, its "oscillation", or the end of the "sweep".
        flat_from: Position after the steepest one from which the loss has no falling trend; None if it falls to the end.
        points: Number of losses that were used: all of them, or those before an oscillation.
        repeats: Whether the loss rises again and falls again by a similar amount, as it does where batches have an order.
        season: Height of what repeats in the losses and was removed from them.
        cycle: Number of updates after which the batches repeat, if the mean loss over them does not fall as the loss does.
    """

    start: float
    lowest: float
    noise: float
    deviation: float
    begin: int
    steepest: int
    bottom: int
    end: int
    end_cause: Literal["rise", "oscillation", "sweep"]
    flat_from: int | None = None
    points: int = 0
    repeats: bool = False
    season: float = 0.0
    cycle: int | None = None

    @property
    def fall(self) -> float:
        """How far the loss falls."""
        return self.start - self.lowest


def find_descent(losses: Floats, diverged: bool) -> Descent:
    """The largest fall in a series of finite losses. It may be no more than noise: see `is_significant`.

    Args:
        losses: The losses, update by update.
        diverged: Whether the sweep ended because of the last of the losses.
    """
    clean, rounded = cleaned(losses), rounding(losses)
    descent = locate_descents(clean[None], diverged, rounded)[0]
    cycle = cycle_of_batches(losses)
    return replace(
        descent,
        cycle=cycle if cycle and not _is_of_means(losses, descent, cycle, diverged, rounded) else None,
        flat_from=flattens(clean, descent.steepest, descent.end),
        season=float(np.ptp(capped(losses) - clean)),
        repeats=_repeats(losses, smooth(clean), descent),
    )


def _is_of_means(losses: Floats, descent: Descent, cycle: int, diverged: bool, rounded: float) -> bool:
    """Whether the mean loss over one cycle of the batches falls as the loss does: as far, and up to the same update.

    A model that trains on sorted batches follows each of them, so the loss falls within a cycle and rises in the next one.
    If such a cycle is longer than the fall, nothing shows what else the fall is. Batches that were shuffled once do no harm
    within a long cycle.
    """
    length = descent.end - descent.begin
    if is_sorted(losses, cycle):
        if cycle > length:
            return False
    elif cycle > LONGER * length:
        return True
    means = moving_average(capped(losses), cycle)[None]
    of_means = locate_descents(means, diverged, rounded)[0]
    return of_means.fall > OF_MEANS * descent.fall and abs(of_means.end - descent.end) < AWAY * cycle


def locate_descents(series: Floats, diverged: bool, rounded: float) -> list[Descent]:
    """The fall of each series without a season; see `find_descent`, which also finds where the fall flattens.

    What can be computed for all at once is, for speed.

    Args:
        series: The losses; shape (series, updates).
        diverged: Whether the sweep ended because of the last of the losses.
        rounded: The `rounding` of the losses from which they were made.
    """
    series = capped_each(series, rounded)
    return [
        _locate(clean, smoothed, light, noise, diverged, rounded)
        for clean, smoothed, light, noise in zip(
            series, smooth(series), smooth(series, END_WIDTH), noise_of_each(series).tolist(), strict=True
        )
    ]


def _locate(clean: Floats, smoothed: Floats, light: Floats, noise: float, diverged: bool, rounded: float) -> Descent:
    descent = _with_end(clean, light, _fall(smoothed, noise, rounded), diverged)
    # Noise that is small compared to the rest of the fall does not end it: batches differ more while the model learns.
    remaining = smoothed - descent.lowest
    least = np.maximum(0.2 * descent.fall, 0.5 * remaining)
    oscillation = ragged(clean[: descent.end + 1], descent.begin, descent.begin, least)
    if oscillation is not None:
        # Computed again without the oscillation, which would count as noise and contain the lowest losses.
        clean = clean[:oscillation]
        fall = _fall(smooth(clean), difference_noise(clean), rounded)
        descent = _with_end(clean, smooth(clean, END_WIDTH), fall, diverged=False)
        descent = descent if descent.end_cause == "rise" else replace(descent, end_cause="oscillation")
    return replace(descent, points=len(clean))


def _with_end(clean: Floats, light: Floats, fall: Descent, diverged: bool) -> Descent:
    """The fall with its end."""
    # The end is often sharp, so it is located in losses that are smoothed only as much as the noise requires (`light`). The
    # bottom is often flat, so any position of it may be the lowest by chance: the end is the last one at which training
    # still works.
    around = clean[max(fall.bottom - 8, 0) : fall.bottom + 9]
    limit = fall.lowest + max(3 * smoothed_noise(difference_noise(around), END_WIDTH), 0.05 * fall.fall)
    if diverged:
        # The last losses are known to be past the end, even if they are too few to show after smoothing.
        light = np.maximum(light, clean)
    low = light <= limit
    if not low[fall.bottom]:
        end = int(np.flatnonzero(low[: fall.bottom])[-1]) if low[: fall.bottom].any() else fall.bottom
        return replace(fall, end=end, end_cause="rise")
    above = np.flatnonzero(~low[fall.bottom :])
    end = fall.bottom + int(above[0]) - 1 if above.size else len(clean) - 1
    return replace(fall, end=end, end_cause="rise" if above.size else "sweep")


def is_significant(losses: Floats, descent: Descent) -> bool:
    """Whether the fall is larger than the batch noise explains, and than the digits of the loss resolve.

    It is judged in the loss and in the logarithm of its height above the lowest: the noise of most losses shrinks with the
    loss, so the fall may be clear in the logarithm, even if the noise at the start is as large as the fall. The height is
    taken, and not the loss, because a constant in the loss says nothing.
    """
    if descent.fall <= 0 or descent.repeats or descent.cycle or descent.fall <= REMAINS * descent.season:
        return False
    losses = losses[: descent.points]
    sure = sure_change(descent.noise, len(losses), rounding(losses))
    if descent.fall > max(sure, STEADY * descent.deviation):
        return True
    if descent.fall * SIGNIFICANT < LIKELY * sure:
        return False
    # A fall that only the drift before it makes doubtful has noise that is correlated, in the logarithm too.
    steady = STEADY if descent.fall <= sure else 1.5 * STEADY
    clean = cleaned(losses)
    logs = np.log(np.maximum(clean - clean.min(), 0.0) + FLOOR * descent.fall)
    smoothed = smooth(logs)
    start = level(smoothed)
    fall = start - float(smoothed[: descent.end + 1].min())
    sure = sure_change(difference_noise(logs), len(logs), rounding(losses) / descent.fall)
    return fall > max(sure, steady * _deviation(smoothed, start, descent.begin))


def _repeats(losses: Floats, smoothed: Floats, descent: Descent) -> bool:
    """Whether the loss rises after its fall and then falls by a similar amount again: below its start, or twice.

    What comes after a divergence does not count, because it is the training of a broken model. One further fall, as after a
    divergence, is taken for a ripple only if the loss before it is not far above the start.
    """
    if len(losses) - descent.bottom < 5:
        return False
    heights = running_median(losses) - descent.start
    # Batches differ more at high LRs, so the noise is that of the losses after the fall.
    noise = smoothed_noise(difference_noise(losses[descent.bottom :]), usual_width(len(losses)))
    least = max(0.5 * descent.fall, SIGNIFICANT * noise)

    def lows(most: float) -> list[float]:
        diverged = np.flatnonzero(heights > most * descent.fall)
        return lows_of_falls(smoothed[descent.bottom : diverged[0] if diverged.size else None], least)

    return len(lows(2.0)) > 1 or any(low < descent.start - 0.5 * descent.fall for low in lows(DIVERGED))


def _deviation(smoothed: Floats, start: float, begin: int) -> float:
    return float(np.abs(smoothed[:begin] - start).max(initial=0.0))


def sure_change(noise: float, points: int, rounded: float) -> float:
    """The change of a smoothed series that neither its noise nor its rounding explains."""
    return max(SIGNIFICANT * smoothed_noise(noise, usual_width(points)), ROUNDED * rounded)


def _fall(smoothed: Floats, noise: float, rounded: float) -> Descent:
    """The fall of the smoothed losses, with its end at the bottom."""
    start = level(smoothed)
    valley = smoothed[: _first_rise(smoothed, start, sure_change(noise, len(smoothed), rounded))]
    bottom = int(valley.argmin())
    lowest = float(valley[bottom])
    remaining_noise = smoothed_noise(noise, usual_width(len(smoothed)))
    tenth = min(max(0.1 * (start - lowest), 2 * remaining_noise), 0.5 * (start - lowest))
    before = np.flatnonzero(valley[: bottom + 1] > start - tenth)
    begin = min(int(before[-1]) + 1, bottom) if before.size else 0
    steepest = begin + int(np.gradient(smoothed)[begin : bottom + 1].argmin())
    return Descent(start, lowest, noise, _deviation(smoothed, start, begin), begin, steepest, bottom, bottom, "rise")


def _first_rise(smoothed: Floats, start: float, sure: float) -> int:
    """Position at which the loss has significantly fallen and then lost half of the fall again; the length if there is none.

    A second fall after such a rise is different training (or that of a broken model), and does not count for the LR.
    """
    lowest = np.minimum.accumulate(smoothed)
    fallen = start - lowest
    risen = smoothed - lowest
    diverged = np.flatnonzero(smoothed - start > DIVERGED * fallen[-1])
    least = max(sure, SHALLOW * float(fallen[diverged[0] if diverged.size else -1]))
    positions = np.flatnonzero((fallen > least) & (risen > 0.5 * fallen + sure))
    return int(positions[0]) if positions.size else len(smoothed)
