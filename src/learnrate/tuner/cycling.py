"""Cycle length and number of cycles from the length of an epoch, by the rule of the CLR paper."""

from dataclasses import dataclass

SHORTEST, LONGEST = 2, 10
"""step_size in epochs: "it is good to set stepsize equal to 2-10 times the number of iterations in an epoch" (Smith,
arXiv 1506.01186, section 3.2)."""

FEWEST = 3
"""Cycles: three "train the network weights most of the way", four or more do better (same section)."""

MOST = 4


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

    Four cycles where each half then lasts 2 to 10 epochs; more where the halves would be longer than 10 epochs, and fewer
    where they would be shorter than 2, down to one.

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
        cycles = min(MOST, updates // 2)
        step_size = updates // (2 * cycles)
        why = f"step_size is {step_size} updates: the batches have no known length, so the run is cut into {_whole(cycles)}"
        return _cut(step_size, cycles, updates, why)
    cycles = MOST
    while cycles > 1 and updates // (2 * cycles) < SHORTEST * updates_per_epoch:
        cycles -= 1
    while updates // (2 * cycles) > LONGEST * updates_per_epoch:
        cycles += 1
    step_size = updates // (2 * cycles)
    epochs = step_size / updates_per_epoch
    rule = f"the rule is {SHORTEST} to {LONGEST}"
    if epochs < SHORTEST:
        rule += f"; a cycle by the rule needs {2 * SHORTEST * updates_per_epoch} updates"
    why = f"step_size is {step_size} updates, {epochs:.3g} epochs of {updates_per_epoch} ({rule}), for {_whole(cycles)}"
    return _cut(step_size, cycles, updates, why)


def _whole(cycles: int) -> str:
    return "1 whole cycle" if cycles == 1 else f"{cycles} whole cycles"


def _cut(step_size: int, cycles: int, updates: int, why: str) -> Cycling:
    return Cycling(step_size, cycles, f"{why} in {2 * step_size * cycles} of {updates} updates.")
