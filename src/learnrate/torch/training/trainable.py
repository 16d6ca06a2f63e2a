"""A torch training as a `learnrate.Trainable`: what range test, tuner and comparisons drive."""

import math
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from learnrate import checks
from learnrate.batches import Batches, restarts_note
from learnrate.errors import LossError, NotMeasuredWarning
from learnrate.torch.control.gradients import gradient_norm
from learnrate.torch.distributed import Processes, SingleProcess
from learnrate.torch.driving import Only, SweptGroups, drivers_paused
from learnrate.torch.inputs import Optimizers, check_pair, optimizers_by_name, stepping
from learnrate.torch.snapshot import CopyTo, Snapshot, modes, same_random_numbers
from learnrate.torch.training import checkpoint as checkpoints
from learnrate.torch.training.batches import LoaderStream, examples, to_device
from learnrate.torch.training.evaluation import Evaluate, HeldOut, evaluating, evaluation
from learnrate.torch.training.faults import BadBatch, Buffers, NotFiniteError, note, require_finite
from learnrate.torch.training.losses import BatchLoss, Losses, objectives
from learnrate.torch.training.noise_scale import noise_scale
from learnrate.torch.training.probing import probing, require_probeable
from learnrate.torch.training.rows import ON_DEVICE, ON_HOST, fetched, prefixed
from learnrate.torch.training.traits import traits_of
from learnrate.torch.training.update import Updater, refuse_scaler_with_closure
from learnrate.trainable import (
    NOISE_BATCHES,
    SKIPPED,
    Ensemble,
    LeftOut,
    Metrics,
    NoSnapshotError,
    NotBatchableError,
    NotResumableError,
    Probing,
    Trainable,
    scalars,
)
from learnrate.user_code import own_line

T = TypeVar("T")

COUNTERS = ("updates", "_batch_size", "_restarts", "_left_out")
"""Attributes of a trainable that belong to a checkpoint."""


class TorchTrainable(Trainable):
    """A model, its optimizer and its batches.

    Args:
        model: What is trained, on its device.
        optimizer: One optimizer, or several by name.
        batches: Anything that can be iterated, or a function that returns an iterator; see `Stream`.
        loss: One loss; or one for each optimizer, which then take turns, in their order, on the same batches.
        evaluate: How good the model is: a function, or held-out batches; see `evaluation`.
        updater: How an update is made.
        only: Which optimizers or parameter groups receive the LR.
        also_keep: What else training changes, to be saved and restored with the rest.
        copy_to: Where saved states live; see `preserve`.
        metric: Name of the number that `evaluate` returns.
        processes: All processes of the training.
        ensemble: Makes an ensemble of this trainable and a number of members.
        in_blocks: Whether losses are read in blocks on the host too; on an accelerator they always are.
        check_batches: Whether the loss of each batch is looked at before it changes anything, and a batch whose loss is not
            finite is left out. By default on the host only, because an accelerator would have to be waited for.

    Attributes:
        check_batches: The argument. False with many processes, whose updates must stay in step.

    Raises:
        ArgumentTypeError: if an argument is of the wrong kind.
        ArgumentError: if the model has no trainable parameters, or an optimizer holds none of them.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizers,
        batches: Batches,
        loss: Losses,
        evaluate: Evaluate | HeldOut | None = None,
        *,
        updater: Updater | None = None,
        only: Only = None,
        also_keep: Sequence[Any] = (),
        copy_to: CopyTo = "auto",
        metric: str = "score",
        processes: Processes | None = None,
        ensemble: "Callable[[TorchTrainable, int], Ensemble] | None" = None,
        in_blocks: bool = False,
        check_batches: bool | None = None,
    ) -> None:
        self.optimizers = optimizers_by_name(optimizer)
        check_pair(model, self.optimizers)
        self.objectives = objectives(self.optimizers, loss)
        self.model, self.stream, self.only = model, LoaderStream(batches), only
        self.updater = updater or Updater()
        self._need_closure = {o.name: self.updater.needs_closure(o.optimizers) for o in self.objectives}
        if self.updater.scaler is not None and any(self._need_closure.values()):
            refuse_scaler_with_closure()
        if not isinstance(also_keep, (list, tuple)):
            checks.refuse_type("also_keep", "a list of objects to keep", also_keep)
        self._evaluate = evaluation(evaluate, self.objectives, metric)
        self.swept = SweptGroups(self.optimizers, only)
        losses = [objective.loss.loss for objective in self.objectives]
        self.kept = [batches, *losses, *also_keep, evaluate]
        if self.updater.scaler is not None:
            self.kept.append(self.updater.scaler)
        self.processes = processes or SingleProcess()
        self.traits = traits_of(self.optimizers.values(), self.swept, self.updater)
        self._copy_to, self._ensemble = copy_to, ensemble
        self._device = next(model.parameters()).device
        if self.processes.size == 1 and (in_blocks or self._device.type != "cpu"):
            self.reading = ON_HOST if self._device.type == "cpu" else ON_DEVICE
        on_host = self._device.type == "cpu"
        self.check_batches = self.processes.size == 1 and (on_host if check_batches is None else check_batches)
        self._buffers = Buffers(part for part in (model, *losses) if isinstance(part, nn.Module))
        # Later passes, of a closure or of a second loss, see weights that were changed: there the LR may be the cause.
        self._passes_to_check = 0
        self._abandoned = threading.Event()
        self.updates = 0
        self._batch_size: int | None = None
        self._restarts: list[int] = []
        self._left_out: list[BadBatch] = []
        self._parts: checkpoints.Parts | None = None
        self._measures_norm = False
        self._norm: Tensor | None = None

    def update(self, lr: float) -> Any:
        """See `Trainable.update`."""
        try:
            values = self.processes.run(self._update, lr)
        except BaseException:
            if self.processes.size > 1:  # an abandoned thread must not change what is restored
                self._abandoned.set()
            raise
        # Processes that hold parts of a model may not all have seen the gradient that was not finite.
        if self.updater.scaler is not None and self.processes.any(values is SKIPPED):
            return SKIPPED
        return values

    def _update(self, lr: float) -> Any:
        self.swept.write(lr)
        batches = self.draw()
        if not self.check_batches:
            return self._made(lr, batches)
        self._buffers.keep()
        self._passes_to_check = len(batches)
        try:
            values = self._made(lr, batches)
        except NotFiniteError as error:
            self._buffers.put_back()
            self._passes_to_check = 0
            end = self.stream.drawn - (self.stream.restarts[-1] if self.stream.restarts else 0)
            self._left_out.append(BadBatch(end + error.position, error.loss, self.updates, lr))
            return LeftOut(error.loss)
        self._buffers.settle()
        return values

    def _made(self, lr: float, batches: Sequence[Any]) -> Any:
        """Make an update with these micro-batches."""
        values: dict[str, Any] = {}
        complete = True
        for objective in self.objectives:
            forward = partial(self.forward, objective.loss)
            row, updated = self.updater.step(
                *(self.model, objective.optimizers, batches, forward, self._before_step),
                needs_closure=self._need_closure[objective.name],
            )
            complete = complete and updated
            values |= prefixed(objective.name, row) if objective.name else row
        self.swept.require_untouched(lr)
        if not complete:
            return SKIPPED
        self.updates += 1
        if "loss" not in values:
            # Only the losses of the optimizers that are swept, because their LR does not determine the other losses.
            swept = [objective.name for objective in self.objectives if self.swept.drives(objective.optimizers)]
            values["loss"] = sum(values[name] for name in swept)
        if self._norm is not None:
            values["gradient_norm"] = self._norm
        return values

    def draw(self) -> list[Any]:
        """The micro-batches of the next update, with the model in train mode."""
        if not self.model.training:
            # A model in train mode keeps the modes of its submodules, frozen batch norms for example.
            self.model.train()
        restarts = len(self.stream.restarts)
        batches = self.stream.take(self.updater.accumulate)
        if self._batch_size is None:
            sizes = [examples(batch) or 0 for batch in batches]
            self._batch_size = sum(sizes) if all(sizes) else 0
        if len(self.stream.restarts) > restarts:
            self._restarts.append(self.updates)
        return batches

    def forward(self, loss: BatchLoss, batch: Any) -> tuple[Tensor, dict[str, Any]]:
        """The loss to minimise on a micro-batch, and all values to record, "loss" among them.

        Raises:
            LossError: if the loss is no scalar tensor with a gradient.
        """
        value, values = self.values(loss, batch)
        if self._passes_to_check:
            self._passes_to_check -= 1
            require_finite(value, -1 - self._passes_to_check)
        if not value.requires_grad:
            raise LossError(
                "the loss must depend on a trainable parameter, received one without a gradient: "
                "compute it from the model's output, without detach(), item() or no_grad()"
            )
        self._require_not_abandoned()
        return value, values

    def values(self, loss: BatchLoss, batch: Any) -> tuple[Tensor, dict[str, Any]]:
        """The same without the check of the gradient, which does not exist inside of `torch.func.vmap`.

        Raises:
            LossError: if the loss is no scalar tensor.
        """
        returned = loss(self.model, to_device(batch, self._device))
        is_mapping = isinstance(returned, Mapping)
        values = {str(name): value for name, value in returned.items()} if is_mapping else {"loss": returned}
        value = values.get("loss")
        if not isinstance(value, Tensor):
            received = f"a mapping with the keys {sorted(values)}" if is_mapping else repr(returned)
            raise LossError(f"the loss must be a scalar tensor, or a mapping with one under 'loss', received {received}")
        if value.numel() != 1:
            scalars({"loss": value})  # raises, and says what is wrong
        return value, values

    def read(self, metrics: Sequence[Any]) -> Sequence[Metrics]:
        """See `Trainable.read`."""
        rows = metrics if self._device.type == "cpu" else fetched(metrics)
        return self.processes.mean([scalars(row) for row in rows])

    def agree(self, decision: T | None) -> T | None:
        """See `Trainable.agree`."""
        return self.processes.agree(decision)

    def evaluate(self) -> Mapping[str, float] | None:
        """See `Trainable.evaluate`."""
        if self._evaluate is None:
            return None
        return self.processes.mean_scores(self.processes.run(self._evaluated, self._evaluate))

    def _evaluated(self, evaluate: Callable[[nn.Module], T]) -> T:
        with evaluating(self.model):
            return evaluate(self.model)

    def updates_per_epoch(self) -> int | None:
        """See `Trainable.updates_per_epoch`."""
        batches = self.stream.epoch()
        return self.processes.first(None if batches is None else math.ceil(batches / self.updater.accumulate))

    def batch_size(self) -> int | None:
        """See `Trainable.batch_size`."""
        of_each = self.processes.mean_scores({"examples": float(self._batch_size or 0)})["examples"]
        return round(self.processes.size * of_each) or None

    def noise_scale(self, batches: int = NOISE_BATCHES) -> float | None:
        """See `Trainable.noise_scale`. None with many processes, several losses, or an iterator that is not given back."""
        if self.processes.size > 1 or len(self.objectives) > 1 or self.stream.once:
            return None
        [objective] = self.objectives
        driven = [group for group, ratio in self.swept.ratios if ratio > 0]
        parameters = [parameter for group in driven for parameter in group["params"] if parameter.requires_grad]
        scale = 1.0 if self.updater.scaler is None else self.updater.scaler.get_scale()

        def loss(batch: Any) -> Tensor:
            with self.updater.precision(self.model):
                return scale * self.forward(objective.loss, batch)[0]

        put_back_modes = modes(self.model)
        self._buffers.keep()
        try:
            with same_random_numbers(self.model), torch.enable_grad():
                drawn = [batch for _ in range(batches) for batch in self.draw()]
                return noise_scale(parameters, drawn, loss)
        except Exception as error:  # the loss of the user may do anything with a batch of another size
            warnings.warn(f"the noise scale is not known: {own_line(error)}", NotMeasuredWarning, stacklevel=2)
            return None
        finally:
            self._buffers.put_back()
            put_back_modes()

    def current_lr(self) -> float:
        """See `Trainable.current_lr`."""
        return max(float(group["lr"]) for optimizer in self.optimizers.values() for group in optimizer.param_groups)

    def notes(self, updates: int) -> list[str]:
        """See `Trainable.notes`."""
        notes = []
        # At the last update of a sweep that ended with them, no batch was better: it is the weights that are at fault.
        left_out = [bad for bad in self._left_out if bad.update < min(updates, self.updates)]
        if left_out:
            notes.append(note(left_out))
        restarts = self.processes.first(self._restarts) or ()
        return [*notes, *restarts_note(restart for restart in restarts if restart < updates)]

    def save(self) -> Snapshot:
        """See `Trainable.save`."""
        return Snapshot(self.model, self.optimizers, *self.kept, copy_to=self._copy_to)

    def restore(self, state: Snapshot) -> None:
        """See `Trainable.restore`. The batches start from their beginning."""
        state.restore()
        self.rewind()

    def release(self, state: Snapshot) -> None:
        """See `Trainable.release`."""
        state.close()

    def rewind(self) -> None:
        """Start the batches from their beginning."""
        self.stream.rewind()
        self.updates = 0
        self._restarts, self._left_out = [], []

    def ensemble(self, count: int) -> Ensemble:
        """See `Trainable.ensemble`."""
        if self._ensemble is None:
            raise NotBatchableError("this training was built without an ensemble")
        return self._ensemble(self, count)

    def probing(self) -> AbstractContextManager[Probing]:
        """See `Trainable.probing`."""
        driven = [optimizer for optimizer in self.optimizers.values() if self.swept.drives([optimizer])]
        require_probeable(len(driven), len(self.objectives), self.updater)
        return probing([stepping(optimizer) for optimizer in driven], self.swept, self.update)

    def checkpoint(self) -> checkpoints.Checkpoint:
        """See `Trainable.checkpoint`."""
        if self.processes.size > 1:
            raise NotResumableError("it has many processes, each with a state of its own")
        return checkpoints.taken(self._kept_parts(), self, COUNTERS)

    def resume(self, checkpoint: checkpoints.Checkpoint) -> None:
        """See `Trainable.resume`."""
        checks.instance(checkpoints.Checkpoint, "a checkpoint of a torch training")("checkpoint", checkpoint)
        if self.updates:
            checks.refuse("resume", "called before the first update", f"a call after {self.updates} updates")
        checkpoints.put(self._kept_parts(), self, checkpoint)

    def snapshot(self) -> checkpoints.State:
        """See `Trainable.snapshot`. In main memory."""
        if self.processes.size > 1:
            raise NoSnapshotError("it has many processes, each with weights of its own")
        return self._kept_parts().state()

    def put_back(self, snapshot: checkpoints.State) -> None:
        """See `Trainable.put_back`."""
        self._kept_parts().put(snapshot)

    def measure_gradient_norm(self) -> bool:
        """See `Trainable.measure_gradient_norm`. Not for several losses, nor where a closure computes the gradients."""
        self._measures_norm = len(self.objectives) == 1 and not any(self._need_closure.values())
        return self._measures_norm

    def _kept_parts(self) -> checkpoints.Parts:
        if self._parts is None:
            others = [kept for kept in self.kept if kept is not self.stream.source]
            self._parts = checkpoints.Parts(self.model, list(self.optimizers.values()), others)
        return self._parts

    def fingerprint(self) -> str | None:
        """See `Trainable.fingerprint`. None with many processes, which may hold parts of the weights."""
        return checkpoints.fingerprint(self.model) if self.processes.size == 1 else None

    @contextmanager
    def borrowed(self) -> Iterator[None]:
        """While the tuner trains: drivers pause, and random numbers come back. The rest the tuner restores itself."""
        with drivers_paused(self.optimizers.values()), same_random_numbers(self.model):
            yield

    def _before_step(self) -> None:
        """Called when the gradients of an update are complete."""
        self._require_not_abandoned()
        if self._measures_norm:
            norms = [gradient_norm(optimizer) for optimizer in self.objectives[0].optimizers]
            scale = 1.0 if self.updater.scaler is None else self.updater.scaler.get_scale()
            self._norm = torch.linalg.vector_norm(torch.stack(norms)) / scale

    def _require_not_abandoned(self) -> None:
        if self._abandoned.is_set():
            raise RuntimeError("this update was abandoned")
