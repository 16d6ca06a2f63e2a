"""A scheduler that Accelerate may prepare: it counts updates, whatever the number of processes."""

from collections.abc import Sequence
from typing import Any

from accelerate import Accelerator
from accelerate.scheduler import AcceleratedScheduler
from torch.optim import Optimizer

from learnrate.accelerate.prepare import require_accelerator
from learnrate.schedules import Schedule
from learnrate.torch import driving


class Scheduler(driving.Scheduler):
    """`learnrate.torch.Scheduler` for loops of Accelerate that call `scheduler.step()`, prepared or not.

    Accelerate steps a prepared scheduler as often as there are processes (unless `split_batches` is set), so that a schedule
    of torch ends early by that factor. This one counts one update for these calls. If it is not prepared, it skips what a
    prepared one skips: calls between accumulated micro-batches, and after an update that the scaler skipped.

    Args:
        accelerator: The accelerator.
        optimizer: The optimizer, before or after `accelerator.prepare`.
        schedule: One for all parameter groups, or a sequence with one for each, in updates.
        relative: See `learnrate.torch.Scheduler`.
        start: Number of updates so far.

    Raises:
        ArgumentError: see `learnrate.torch.Scheduler`.
        ArgumentTypeError: if the accelerator, the optimizer or a schedule is something else.
        AlreadyDrivenError: if something else drives the LR of this optimizer.

    Example:
        >>> import torch, accelerate, learnrate as lr
        >>> accelerator = accelerate.Accelerator(cpu=True)
        >>> optimizer = accelerator.prepare(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1))
        >>> schedule = lr.linear(1.0, 0.0, length=4)
        >>> scheduler = accelerator.prepare(lr.accelerate.Scheduler(accelerator, optimizer, schedule))
        >>> optimizer.step(); scheduler.step()
        >>> scheduler.get_last_lr()
        [0.75]
    """

    def __init__(
        self,
        accelerator: Accelerator,
        optimizer: Optimizer,
        schedule: Schedule | Sequence[Schedule],
        *,
        relative: bool = False,
        start: int = 0,
    ) -> None:
        require_accelerator(accelerator)
        self._accelerator = accelerator
        self._calls = 0
        super().__init__(optimizer, schedule, relative=relative, start=start)

    def __reduce__(self) -> tuple[Any, ...]:
        arguments = (self._accelerator, self.optimizer, self.schedule, self._scheduled.relative, self.state_dict())
        return _rebuilt, (type(self), *arguments)

    def step(self, epoch: int | None = None) -> None:
        """Count an update, once for all the calls that Accelerate makes for it.

        Args:
            epoch: Jump to this number of updates instead. The name is torch's.
        """
        if epoch is None:
            wrapper = self._wrapper()
            if wrapper is None:
                if not self._accelerator.sync_gradients or self._accelerator.optimizer_step_was_skipped:
                    return
            elif wrapper.step_with_optimizer and not wrapper.split_batches:
                self._calls += 1
                if self._calls < self._accelerator.num_processes:
                    return
                self._calls = 0
        super().step(epoch)

    def _wrapper(self) -> AcceleratedScheduler | None:
        """What `accelerator.prepare` has put around this scheduler. Accelerate has no public list of what it prepared."""
        return next((wrapper for wrapper in self._accelerator._schedulers if wrapper.scheduler is self), None)


def _rebuilt(
    cls: type[Scheduler],
    accelerator: Accelerator,
    optimizer: Optimizer,
    schedule: Schedule | Sequence[Schedule],
    relative: bool,
    state: dict[str, Any],
) -> Scheduler:
    scheduler = cls(accelerator, optimizer, schedule, relative=relative, start=state["last_epoch"])
    scheduler.load_state_dict(state)
    return scheduler
