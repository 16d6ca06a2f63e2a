"""What a module of this folder measures, one for each framework."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """One training run on real data, at the trainer's default LR or tuned in place.

    Attributes:
        score: A metric on held-out data, higher is better.
        lr: The peak of the LR that the optimizer really used.
        updates: Updates of the training run.
        spent: Updates that tuning made; 0 at the default LR.
    """

    score: float
    lr: float
    updates: int
    spent: int


@dataclass(frozen=True)
class Overhead:
    """Time of one update under the trainer, for the same model and the same number of updates.

    Attributes:
        plain: Seconds of an update with a schedule of the framework's own, or with a constant LR if it has none.
        ours: Seconds of an update with a schedule of learnrate through the adapter.
    """

    plain: float
    ours: float
