"""Cycle length and number of cycles from the length of an epoch, by the rule of the CLR paper."""

import math
from dataclasses import dataclass

SHORTEST, LONGEST = 2, 10
"""step_size in epochs: "it is good to set stepsize equal to 2-10 times the number of iterations in an epoch" (Smith,
arXiv 1506.01186, section 3.2)."""

USUAL = 4
"""Cycles: three "train the network weights most of the way and running for 4 or more cycles will achieve even better
performance" (same section)."""

MOST = 6
"""Cycles: triangular2 halves its amplitude with each, so that a seventh would change the LR by less than a fiftieth."""


@dataclass(frozen=True)
class Cycling:
    """The cycles of a training run.

    Attributes:
        step_size: Half a cycle, in updates.
        cycles: Number of whole cycles.
        reason: Why, in one sentence.
    """

    step_size: int
    cycles: int
    reason: str

    @property
    def updates(self) -> int:
        """Updates of all cycles."""
        return 2 * self.step_size * self.cycles


def whole_cycles(updates: int, updates_per_epoch: int | None) -> Cycling:
    """Divide a run into whole cycles that end as close to its last update as possible.

    Four cycles if each half then lasts 2 to 10 epochs; up to six if the halves would be longer than 10 epochs, and fewer if
    they would be shorter than 2 epochs, down to one.

    Args:
        updates: Length of the run, at least 2.
        updates_per_epoch: None if it is not known; then four cycles.

    Example:
        >>> cycling = whole_cycles(1000, updates_per_epoch=25)
        >>> cycling.step_size, cycling.cycles
        (125, 4)
        >>> cycling.reason
        'step_size is 125 updates, 5 epochs of 25 updates (the rule is 2 to 10): 4 whole cycles in 1000 of 1000 updates.'
    """
    if updates_per_epoch is None:
        cycles = min(USUAL, updates // 2)
        return _cycling(updates, cycles, "not by the rule of 2 to 10 epochs, because the length of an epoch is not known")
    fewest = math.ceil(updates / (2 * LONGEST * updates_per_epoch))
    most = updates // (2 * SHORTEST * updates_per_epoch)
    cycles = max(1, min(max(USUAL, fewest), most, MOST, updates // 2))
    epochs = updates // (2 * cycles) / updates_per_epoch
    why = f"{epochs:.3g} epochs of {updates_per_epoch} updates (the rule is {SHORTEST} to {LONGEST}"
    if epochs < SHORTEST:
        why += f"; a cycle by the rule needs {2 * SHORTEST * updates_per_epoch} updates"
    if epochs > LONGEST:
        why += f"; more than {MOST} cycles would hardly change the LR any more"
    return _cycling(updates, cycles, why + ")")


def _cycling(updates: int, cycles: int, why: str) -> Cycling:
    step_size = updates // (2 * cycles)
    count = "1 whole cycle" if cycles == 1 else f"{cycles} whole cycles"
    used = 2 * step_size * cycles
    return Cycling(step_size, cycles, f"step_size is {step_size} updates, {why}: {count} in {used} of {updates} updates.")
