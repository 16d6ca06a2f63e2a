"""The snapshots of adapters that observe the loss of an update when the state before it is still there."""

from typing import Any, NamedTuple

from learnrate.control.control import Control
from learnrate.control.guard import DELAY


class Snapshot(NamedTuple):
    """What a rollback puts back.

    Attributes:
        update: The number of the update before which it was taken.
        state: Weights and the state of the optimizer, in the form of the adapter.
    """

    update: int
    state: Any


def wants_snapshot(control: Control, update: int) -> bool:
    """Whether a controller that may roll back wants the state before this update to be kept."""
    return any(
        bool(controller.wants_snapshot(control.states[name], update))
        for name, controller in control.controllers.items()
        if getattr(controller, "needs_snapshots", False)
    )


class Snapshots:
    """The last two good snapshots: the newer one may be from the beginning of an explosion.

    A snapshot is the state before an update. It is kept once the loss of that update was observed and a controller wants
    it: an update with a finite loss can leave weights that are not finite.

    Args:
        control: The control of the run.
    """

    def __init__(self, control: Control) -> None:
        self._control = control
        self._kept: list[Snapshot] = []
        self._new: Snapshot | None = None
        self._used: Snapshot | None = None

    def state(self) -> tuple[list[Snapshot], int | None]:
        """What a checkpoint keeps: the snapshots, and which of them was put back last."""
        used = next((number for number, snapshot in enumerate(self._kept) if snapshot is self._used), None)
        return list(self._kept), used

    def load(self, state: tuple[list[Snapshot], int | None]) -> None:
        """Go on with what `state` returned."""
        kept, used = state
        self._kept, self._new = list(kept), None
        self._used = None if used is None else self._kept[used]

    def is_due(self, update: int) -> bool:
        """Whether one is to be taken before this update, as far as its loss is not needed to know."""
        return not self._kept or wants_snapshot(self._control, update)

    def take(self, update: int, state: Any) -> None:
        """The state before this update, which may be kept."""
        self._new = Snapshot(update, state)

    def judge(self, was_good: bool) -> None:
        """Keep or forget what was taken, now that the control has observed the update."""
        if self._new is not None and was_good and self.is_due(self._new.update):
            self._kept = [*self._kept[-1:], self._new]
        self._new = None

    def to_put_back(self, update: int) -> Snapshot | None:
        """The snapshot for a rollback at this update; None if there is none.

        The older one if the newer one is so young that the explosion may have begun before it, or was put back before.
        """
        while len(self._kept) > 1 and (update - self._kept[-1].update < DELAY or self._kept[-1] is self._used):
            self._kept.pop()
        self._used = self._kept[-1] if self._kept else None
        return self._used
