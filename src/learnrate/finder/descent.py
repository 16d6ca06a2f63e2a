"""Where the loss of a range test begins to fall, falls fastest, and ends falling, and how well that is known."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from learnrate.finder.levels import capped, difference_noise, level
from learnrate.finder.season import cleaned
from learnrate.finder.series import flattens, ragged
from learnrate.finder.smoothing import Floats, smooth, smoothed_noise, usual_width

SIGNIFICANT = 7.0
"""A fall counts when it is so many standard deviations of the smoothed noise. In sweeps of 20 to 300 updates of pure noise,
drawn independently for each update, 1 (normal) to 7 (log-normal) in 1,000 fall so far, for the minimum is taken over the
whole curve."""

STEADY = 2.25
"""A fall counts when it is so many times as deep as the loss strays before it. Noise that is correlated from update to
update is not seen in the differences of neighbours, but it makes the smoothed loss wander from the start."""

END_WIDTH = 1.0
"""Smoothing, in updates, of the losses in which the end of the fall is looked for."""


@dataclass(frozen=True)
class Descent:
    """The one fall of a range test.

    Attributes:
        start: Level of the loss before it falls: the median of the first tenth.
        lowest: The least smoothed loss of the fall.
        noise: Standard deviation of the batch noise.
        unrest: How far the smoothed loss strays from that level before it begins to fall for good.
        begun: Position at which a tenth of the fall is done for good (or what stands out of the noise, where that is more).
        steepest: Position at which the loss falls fastest from update to update.
        bottom: Position of the least smoothed loss.
        ended: Last position at which the loss is still as low as it gets, within its noise.
        ends_in: "rise" where the loss rises after it, "sawtooth" where it becomes ragged, "sweep" where the sweep ends
            there.
        flat_from: Position after the steepest from which the loss falls no more (a trend test says so); None where it does
            to the end.
        points: Number of losses that it was read from: all, or those before a sawtooth.
    """

    start: float
    lowest: float
    noise: float
    unrest: float
    begun: int
    steepest: int
    bottom: int
    ended: int
    ends_in: Literal["rise", "sawtooth", "sweep"]
    flat_from: int | None = None
    points: int = 0

    @property
    def fall(self) -> float:
        """How far the loss falls."""
        return self.start - self.lowest


def find(losses: Floats, diverged: bool) -> Descent:
    """The fall in a series of finite losses, which need not be one that stands out of the noise: see `significant`.

    Args:
        losses: The losses, update by update.
        diverged: Whether the last of them are those for which the sweep was ended.
    """
    clean = cleaned(losses)
    found = find_in(clean, diverged)
    return replace(found, flat_from=flattens(clean, found.steepest, found.ended))


def find_in(clean: Floats, diverged: bool) -> Descent:
    """The fall in losses in which nothing repeats, but not from where it is flat; see `find`."""
    clean = capped(clean)
    noise = difference_noise(clean)
    found = _ended(clean, _fall(smooth(clean), noise), diverged)
    # Noise that is small beside what is still to fall is no end of the fall: batches differ more while the model learns.
    to_fall = smooth(clean) - found.lowest
    torn = ragged(clean[: found.ended + 1], found.begun, found.begun, np.maximum(0.2 * found.fall, 0.5 * to_fall))
    if torn is not None:
        # Read anew without the sawtooth, which would pass for noise and for the lowest of losses.
        clean = clean[:torn]
        found = _ended(clean, _fall(smooth(clean), difference_noise(clean)), diverged=False)
        found = found if found.ends_in == "rise" else replace(found, ends_in="sawtooth")
    return replace(found, points=len(clean))


def _ended(clean: Floats, fall: Descent, diverged: bool) -> Descent:
    """The fall with its end."""
    # The end is often sharp: it is looked for in losses that are smoothed just enough to take the noise out of the question.
    # It is also often flat: any point of the bottom may be the lowest by chance, the last one is where training still works.
    light = smooth(clean, END_WIDTH)
    around = clean[max(fall.bottom - 8, 0) : fall.bottom + 9]
    as_low = fall.lowest + max(3 * smoothed_noise(difference_noise(around), END_WIDTH), 0.05 * fall.fall)
    if diverged:
        # The last losses are known to be beyond the end, however few they are for the smoothing to see.
        light = np.maximum(light, clean)
    low = light <= as_low
    if not low[fall.bottom]:
        ended = int(np.flatnonzero(low[: fall.bottom])[-1]) if low[: fall.bottom].any() else fall.bottom
        return replace(fall, ended=ended, ends_in="rise")
    above = np.flatnonzero(~low[fall.bottom :])
    ended = fall.bottom + int(above[0]) - 1 if above.size else len(clean) - 1
    return replace(fall, ended=ended, ends_in="rise" if above.size else "sweep")


def significant(losses: Floats, found: Descent) -> bool:
    """Whether the fall stands out of the batch noise, and of the digits of the loss.

    Judged in the loss and, where all losses are above 0, in its logarithm: the noise of most losses shrinks with the loss,
    so that a fall to near nothing is plain to see in the logarithm, and hidden in the noise of the start otherwise.
    """
    losses = losses[: found.points]
    sure = _sure_change(found.start, found.noise, len(losses))
    if found.fall > max(sure, STEADY * found.unrest):
        return True
    if losses.min() <= 0:
        return False
    logs = np.log(np.maximum(cleaned(losses), losses.min()))
    smoothed = smooth(logs)
    start = level(smoothed)
    fall = start - float(smoothed[: found.ended + 1].min())
    # A change of the logarithm is a relative one: its digits are those of a level of 1.
    return fall > max(_sure_change(1.0, difference_noise(logs), len(logs)), STEADY * _unrest(smoothed, start, found.begun))


def _unrest(smoothed: Floats, start: float, begun: int) -> float:
    return float(np.abs(smoothed[:begun] - start).max(initial=0.0))


def _sure_change(start: float, noise: float, points: int) -> float:
    """How far a smoothed series of a level must move for it to be no accident of its noise, nor of its digits."""
    return max(SIGNIFICANT * smoothed_noise(noise, usual_width(points)), 1e-3 * abs(start))


def _fall(smoothed: Floats, noise: float) -> Descent:
    """The fall as the smoothed losses show it, ended where they are lowest."""
    start = level(smoothed)
    valley = smoothed[: _first_rise(smoothed, start, _sure_change(start, noise, len(smoothed)))]
    bottom = int(valley.argmin())
    lowest = float(valley[bottom])
    trace = smoothed_noise(noise, usual_width(len(smoothed)))
    tenth = min(max(0.1 * (start - lowest), 2 * trace), 0.5 * (start - lowest))
    waiting = np.flatnonzero(valley[: bottom + 1] > start - tenth)
    begun = min(int(waiting[-1]) + 1, bottom) if waiting.size else 0
    steepest = begun + int(np.gradient(smoothed)[begun : bottom + 1].argmin())
    unrest = _unrest(smoothed, start, begun)
    return Descent(start, lowest, noise, unrest, begun, steepest, bottom, bottom, "rise")


def _first_rise(smoothed: Floats, start: float, sure: float) -> int:
    """Position at which the loss, after its first sure fall, has surely lost half of it again; the length if it never does.

    A second dip behind such a hump is training of another kind (or of a wrecked model), and no LR of the first.
    """
    lowest = np.minimum.accumulate(smoothed)
    fallen = start - lowest
    risen = smoothed - lowest
    lost = np.flatnonzero((fallen > sure) & (risen > 0.5 * fallen + sure))
    return int(lost[0]) if lost.size else len(smoothed)
