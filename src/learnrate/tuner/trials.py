"""Trials: short trainings at candidate LRs, all from the same start and on the same data."""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from learnrate.finder import Curve
from learnrate.finder.smoothing import Floats
from learnrate.schedules import Schedule
from learnrate.schedules.base import known_length
from learnrate.tuner.thresholds import THRESHOLDS


@dataclass(frozen=True)
class Start:
    """The model before any training, and what its optimizer is.

    Attributes:
        loss: Level of the training loss.
        noise: Standard deviation of the loss from batch to batch.
        score: Result of the evaluation; None if there is none, or it is not finite.
        error: Standard error of `loss`.
        unbounded_steps: See `learnrate.OptimizerTraits`.
        late: Whether learning begins late: the loss hardly fell in a probe.
    """

    loss: float
    noise: float
    score: float | None = None
    error: float = 0.0
    unbounded_steps: bool = False
    late: bool = False


def start_losses(curve: Curve) -> Floats:
    """The losses of a range test at its first, very small LRs: those of the model before any training."""
    return curve.losses[: max(THRESHOLDS.start_losses, len(curve) // 4)]


@dataclass(frozen=True)
class Trial:
    """One short training and its result.

    Attributes:
        max_lr: The candidate LR: the peak of the schedule.
        updates: Planned length.
        updates_made: Updates up to the one that diverged, or all.
        loss: Mean of `final_losses`; infinite after a divergence.
        score: The evaluation at the end, higher is better; None if there is none, or the loss or score is not finite.
        family: The kind of schedule.
        purpose: What it was made for: a part of a sentence.
        final_losses: The last fifth of the losses, none counted as higher than the loss at the start. Trials of one length
            saw the same batches there.
        highest_loss: The highest of all losses; infinite if one was not finite.
    """

    max_lr: float
    updates: int
    updates_made: int
    loss: float
    score: float | None = None
    family: str = ""
    purpose: str = ""
    final_losses: tuple[float, ...] = ()
    highest_loss: float = math.inf

    @property
    def diverged(self) -> bool:
        """Whether the loss is no longer finite, or far above the start."""
        return not math.isfinite(self.loss)

    @property
    def log2_lr(self) -> float:
        """log2 of `max_lr`: what matters about an LR is its ratio to another."""
        return math.log2(self.max_lr)


@dataclass(frozen=True)
class Rung:
    """Trials of one length."""

    updates: int
    trials: tuple[Trial, ...]

    @property
    def sound(self) -> tuple[Trial, ...]:
        """The trials that did not diverge."""
        return tuple(trial for trial in self.trials if not trial.diverged)

    @property
    def log2_lrs(self) -> list[float]:
        """The LRs in ascending order, as log2."""
        return sorted(trial.log2_lr for trial in self.trials)

    def best_fall(self, start: Start) -> float:
        """How far the lowest loss lies below the start; minus infinity if all trials diverged."""
        return start.loss - min((trial.loss for trial in self.sound), default=math.inf)

    def diverged_where(self, unsafe: Callable[[Trial], bool]) -> "Rung":
        """The rung, with these trials counted as diverged."""
        return Rung(self.updates, tuple(replace(trial, loss=math.inf) if unsafe(trial) else trial for trial in self.trials))


def rungs(trials: Sequence[Trial]) -> list[Rung]:
    """The rungs of these trials, from short to long."""
    lengths = sorted({trial.updates for trial in trials})
    return [Rung(updates, tuple(trial for trial in trials if trial.updates == updates)) for updates in lengths]


def squeezed(schedule: Schedule, updates: int, horizon: int) -> list[float]:
    """The LRs of a trial with the shape of a schedule of the whole run.

    A trial then visits all LRs of the run that it stands for. Each LR is that in the middle of the part that it stands
    for: the first would otherwise be the start of the warm-up, where nothing is learned.

    Args:
        schedule: The schedule.
        updates: Length of the trial.
        horizon: Length of the run, for a schedule without end.
    """
    counts = (np.arange(updates) + 0.5) * (known_length(schedule) or horizon) / updates
    # One call for all: a call for each would take 4 microseconds an update. A function of the user may take numbers only.
    with suppress(TypeError, ValueError):
        lrs = np.asarray(schedule(counts), dtype=np.float64)
        if lrs.shape == counts.shape:
            return [float(lr) for lr in lrs]
    return [float(schedule(count)) for count in counts.tolist()]
