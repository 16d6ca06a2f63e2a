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
"""Cycles: triangular2 halves its amplitude with each, so that a seventh would move the LR by less than a fiftieth."""


@dataclass(frozen=True)
class Cycling:
    """How a run is cut into cycles.

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
        """The run's length, which ends with a cycle."""
        return 2 * self.step_size * self.cycles


def cut(updates: int, updates_per_epoch: int | None) -> Cycling:
    """Cut a run into whole cycles that end as close before its last update as can be.

    Four cycles where each half then lasts 2 to 10 epochs; up to six where the halves would be longer than 10 epochs, and
    fewer where they would be shorter than 2, down to one.

    Args:
        updates: Length of the run, at least 2.
        updates_per_epoch: None where an epoch is not known; then four cycles.

    Example:
        >>> found = cut(1000, updates_per_epoch=25)
        >>> found.step_size, found.cycles
        (125, 4)
        >>> found.reason
        'step_size is 125 updates, 5 epochs of 25 (the rule is 2 to 10), for 4 whole cycles in 1000 of 1000 updates.'
    """
    if updates_per_epoch is None:
        cycles = min(USUAL, updates // 2)
        return _cut(updates, cycles, "the batches have no known length, so the rule of 2 to 10 epochs cannot be kept")
    fewest = math.ceil(updates / (2 * LONGEST * updates_per_epoch))
    most = updates // (2 * SHORTEST * updates_per_epoch)
    cycles = max(1, min(max(USUAL, fewest), most, MOST, updates // 2))
    epochs = updates // (2 * cycles) / updates_per_epoch
    why = f"{epochs:.3g} epochs of {updates_per_epoch} (the rule is {SHORTEST} to {LONGEST}"
    if epochs < SHORTEST:
        why += f"; a cycle by the rule needs {2 * SHORTEST * updates_per_epoch} updates"
    if epochs > LONGEST:
        why += f"; more than {MOST} cycles would hardly move the LR any more"
    return _cut(updates, cycles, why + ")")


def _cut(updates: int, cycles: int, why: str) -> Cycling:
    step_size = updates // (2 * cycles)
    whole = "1 whole cycle" if cycles == 1 else f"{cycles} whole cycles"
    used = 2 * step_size * cycles
    return Cycling(
        step_size, cycles, f"step_size is {step_size} updates, {why}, for {whole} in {used} of {updates} updates."
    )
