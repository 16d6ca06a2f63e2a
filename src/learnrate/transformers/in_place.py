"""The range test and tuning of what a Trainer trains, by the Trainer's own loss and data; afterwards all is as it was."""

import copy
import inspect
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from torch import Tensor, nn
from transformers import Trainer, TrainerCallback

from learnrate import checks
from learnrate.accelerate.in_place import loader_kept
from learnrate.errors import ArgumentError, ArgumentTypeError
from learnrate.finder import Curve
from learnrate.interrupts import within
from learnrate.torch.inputs import stepping
from learnrate.torch.range_test import range_test as torch_range_test
from learnrate.torch.snapshot import same_random_numbers
from learnrate.torch.training import UpdateOptions
from learnrate.torch.tune import tune as torch_tune
from learnrate.transformers.attributes import Attributes
from learnrate.tuner import Plan

T = TypeVar("T")

OF_THE_TRAINER = frozenset({"model", "optimizer", "batches", "loss", "accumulate", "autocast", "scaler", "clip_norm"})
"""Arguments of `learnrate.torch.tune` and `range_test` that the Trainer gives."""


def range_test(trainer: Trainer, **options: Any) -> Curve:
    """Run an LR range test of what a Trainer trains, and give everything back as it was.

    It trains as the Trainer would: its model, optimizer, loader and collator, `compute_loss`, accumulation, `max_grad_norm`
    and mixed precision. A `training_step` of a subclass is not called. With many processes, call it in each of them.

    Args:
        trainer: The trainer, before or after a `train()`.
        **options: What `learnrate.torch.range_test` takes beside what the trainer decides: `low`, `high`, `updates`, `stop`,
            `seed`, ...

    Returns:
        The curve.

    Raises:
        ArgumentError: see `learnrate.torch.range_test`.
        ArgumentTypeError: if an argument is of the wrong kind.
    """
    require_trainer(trainer)
    check_options(torch_range_test, options)
    return at_the_start(trainer, lambda: range_test_inside(trainer, options))


def tune(trainer: Trainer, *, budget: float | str | None = None, family: Any = None, **options: Any) -> Plan:
    """Choose a schedule for the run of a Trainer, and give everything back as it was; nothing is set.

    `Trainer(..., callbacks=[Tune(budget="10%")])` does this at the beginning of the run, and sets what it has chosen.

    Args:
        trainer: The trainer, before or after a `train()`.
        budget: The maximum cost; see `learnrate.torch.tune`.
        family: The kind of schedule; see `learnrate.torch.tune`.
        **options: What `learnrate.torch.tune` takes beside what the trainer decides: `evaluate`, `low`, `high`, `seed`, ...

    Returns:
        The plan. `Follow(plan.schedule, relative=True)` follows it.

    Raises:
        ArgumentError: see `learnrate.torch.tune`.
        ArgumentTypeError: if an argument is of the wrong kind.
        NoAnswerError: if there is no answer.
    """
    require_trainer(trainer)
    check_options(torch_tune, options)
    return at_the_start(trainer, lambda: tune_inside(trainer, {"budget": budget, "family": family, **options}))


def require_trainer(trainer: object) -> None:
    """Refuse something else.

    Raises:
        ArgumentTypeError: if it is no `transformers.Trainer`.
    """
    if not isinstance(trainer, Trainer):
        checks.refuse_type("trainer", "a transformers.Trainer", trainer)


def check_options(function: Callable[..., Any], options: Mapping[str, Any], others: Sequence[str] = ()) -> None:
    """Refuse names of arguments that a function does not take, and those that the Trainer gives it.

    Args:
        function: `learnrate.torch.tune` or `learnrate.torch.range_test`.
        options: The arguments by name.
        others: Names that the caller takes beside them.

    Raises:
        ArgumentTypeError: if there is such a name.
    """
    parameters = inspect.signature(function).parameters.values()
    names = {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
    own = OF_THE_TRAINER | ({"updates"} if function is torch_tune else set())
    names = (names | set(UpdateOptions.__annotations__) | set(others)) - own
    for name in options:
        if name in own:
            raise ArgumentTypeError(f"there is no argument {checks.shown(name)}: the arguments of the trainer decide it")
        if name not in names:
            remedy = checks.did_you_mean(name, sorted(names), f"there are {', '.join(sorted(names))}")
            raise ArgumentTypeError(f"there is no argument {checks.shown(name)}: {remedy}")


def trainer_that_calls(callback: TrainerCallback) -> Trainer:
    """The trainer that is calling a callback.

    The Trainer gives its callbacks the model and the optimizer, and not itself, which has the loss. But it is on the stack:
    the object of the method that calls.

    Raises:
        ArgumentError: if no trainer that has this callback is calling.
    """
    frame = sys._getframe(1)
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, Trainer) and any(entry is callback for entry in owner.callback_handler.callbacks):
            return owner
        frame = frame.f_back  # type: ignore[assignment]
    raise ArgumentError(
        f"{type(callback).__name__} must be called by the transformers.Trainer that has it as a callback, no such trainer "
        "is calling: to tune, use learnrate.transformers.tune(trainer), and Follow(plan.schedule, relative=True)"
    )


def range_test_inside(trainer: Trainer, options: Mapping[str, Any]) -> Curve:
    """The range test of a trainer whose model and optimizer are prepared."""
    return within(_borrowed(trainer), lambda loader: torch_range_test(**_arguments(trainer, loader, options)))


def tune_inside(trainer: Trainer, options: Mapping[str, Any]) -> Plan:
    """The plan of a trainer whose model and optimizer are prepared."""
    # Losses of a Trainer cannot run under torch.func.vmap: they unwrap the model.
    whole = {"together": False, **options, "updates": trainer.state.max_steps}
    return within(_borrowed(trainer), lambda loader: torch_tune(**_arguments(trainer, loader, whole)))


def _arguments(trainer: Any, loader: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    attributes = Attributes(trainer)
    also_keep, norm = options.get("also_keep", ()), trainer.args.max_grad_norm
    if not isinstance(also_keep, (list, tuple)):
        checks.refuse_type("also_keep", "a list of objects to keep", also_keep)
    # The precision of the forward pass is that of the model that Accelerate has prepared, or of the Trainer's own context.
    return {
        **options,
        "accumulate": trainer.args.gradient_accumulation_steps,
        "clip_norm": norm if norm else None,
        "scaler": trainer.accelerator.scaler,
        "model": trainer.model_wrapped,
        "optimizer": stepping(trainer.optimizer),
        "batches": TrainerBatches(trainer, loader),
        "loss": TrainerLoss(trainer, attributes.content),
        "also_keep": [loader, attributes, *also_keep],
    }


class MicroBatch(dict[str, Any]):
    """A batch of the loader, with what the Trainer has to know about the update that it belongs to.

    Attributes:
        count: The number of items (tokens) in all batches of the update; None if the loss does not need it.
        batches: The number of batches in the update.
    """

    count: Tensor | int | None = None
    batches: int = 1


class TrainerBatches:
    """The batches of a loader in the groups of updates in which the Trainer takes them.

    Attributes:
        epoch: Number of the next pass, which decides the order of a loader of Accelerate. A snapshot sets it back.
    """

    def __init__(self, trainer: Trainer, loader: Any) -> None:
        self._trainer, self._loader = trainer, loader
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[MicroBatch]:
        if hasattr(self._loader, "set_epoch"):
            self._loader.set_epoch(self.epoch)
        self.epoch += 1
        return self._batches(iter(self._loader))

    def _batches(self, batches: Iterator[Any]) -> Iterator[MicroBatch]:
        number, device = self._trainer.args.gradient_accumulation_steps, self._trainer.args.device
        while True:
            update, items = self._trainer.get_batch_samples(batches, number, device)
            for inputs in update:
                batch = MicroBatch(inputs=inputs)
                batch.count, batch.batches = items, len(update)
                yield batch
            if not update:
                return


class TrainerLoss:
    """The loss of a Trainer, as a function of model and batch, of which an update takes the mean over its batches.

    Attributes:
        content: What it may change in place in the trainer. A snapshot visits what a loss refers to.
    """

    def __init__(self, trainer: Trainer, content: Mapping[str, Any]) -> None:
        # Weak: what a loss refers to is watched for changes, and a trainer refers to everything.
        self._trainer = weakref.ref(trainer)
        self.content = dict(content)

    def __call__(self, model: nn.Module, batch: MicroBatch) -> Tensor:
        """The loss, whose mean over the batches of an update is the loss of the update."""
        trainer: Any = self._trainer()
        trainer.current_gradient_accumulation_steps = batch.batches
        if callable(getattr(trainer.optimizer, "train", None)):  # schedule-free optimizers have to be told
            trainer.optimizer.train()
        inputs = trainer._prepare_inputs(batch["inputs"])
        with trainer.compute_loss_context_manager():
            loss: Tensor = trainer.compute_loss(model, inputs, num_items_in_batch=batch.count)
        if trainer.args.n_gpu > 1:
            loss = loss.mean()
        return loss * batch.batches if _is_share(trainer, batch) else loss


def _is_share(trainer: Any, batch: MicroBatch) -> bool:
    """Whether the losses of an update's batches are to be added, because each is divided by the items of them all.

    It is the condition in `Trainer.training_step`.
    """
    scaled: bool | None = getattr(trainer, "loss_is_scaled_for_ga", None)
    if scaled is not None:
        return scaled
    return bool((trainer.model_accepts_loss_kwargs and batch.count is not None) or trainer.compute_loss_func is not None)


@contextmanager
def _borrowed(trainer: Any) -> Iterator[Any]:
    """A loader of its own, like the one of the run; afterwards the Trainer, Accelerate and random numbers are as before."""
    accelerator, handler = trainer.accelerator, trainer.callback_handler
    callbacks, loaders = handler.callbacks, list(accelerator._dataloaders)
    attributes, state = Attributes(trainer), copy.deepcopy(vars(trainer.state))
    handler.callbacks = []  # what a loss logs is no log of the run
    try:
        with same_random_numbers(trainer.model):
            loader = trainer.get_train_dataloader()
            with loader_kept(loader):
                yield loader
    finally:
        handler.callbacks = callbacks
        accelerator._dataloaders[:] = loaders
        attributes.load_state_dict({})
        vars(trainer.state).clear()
        vars(trainer.state).update(state)


PREPARED = ("_models", "_optimizers", "_schedulers", "_dataloaders")
"""The lists of an accelerator of what it has prepared."""


class _ReachedError(Exception):
    """Ends a `train()` whose preparation was all that was needed."""


class _AtStart(TrainerCallback):
    """Does something where a run has been prepared, and ends the run."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self.result: Any = None

    def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
        """Work, and end."""
        self.result = self._work()
        raise _ReachedError


def at_the_start(trainer: Trainer, work: Callable[[], T]) -> T:
    """Let a Trainer prepare a run (its optimizer, the model for many processes and in mixed precision), and take all back.

    Args:
        trainer: The trainer.
        work: Called where the run would begin. No other callback of the trainer learns of it.
    """
    start = _AtStart(work)

    def train(_: None) -> None:
        trainer.callback_handler.callbacks = [start]
        with suppress(_ReachedError):
            trainer.train()

    within(_unprepared(trainer), train)
    result: T = start.result
    return result


@contextmanager
def _unprepared(trainer: Any) -> Iterator[None]:
    accelerator, model = trainer.accelerator, trainer.model
    lists, step = [getattr(accelerator, name) for name in PREPARED], accelerator.step
    contents = [list(entries) for entries in lists]
    owners = [trainer, trainer.callback_handler, trainer.state, trainer.control]
    attributes = [dict(vars(owner)) for owner in owners]
    # Mixed precision wraps the method of the model; so does the noise of NEFTune, by a hook.
    forward: dict[str, Any] = {name: vars(model)[name] for name in ("forward", "_original_forward") if name in vars(model)}
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    groups = _initial_lrs(trainer.optimizer)
    try:
        with same_random_numbers(model):
            yield
    finally:
        hook = getattr(trainer, "neftune_hook_handle", None)
        if hook is not None and "neftune_hook_handle" not in attributes[0]:
            hook.remove()
        for owner, before in zip(owners, attributes, strict=True):
            vars(owner).clear()
            vars(owner).update(before)
        accelerator.step = step
        for name, entries, content in zip(PREPARED, lists, contents, strict=True):
            entries[:] = content
            setattr(accelerator, name, entries)
        for name in ("forward", "_original_forward"):
            vars(model).pop(name, None)
        vars(model).update(forward)
        for parameter, gradient in gradients:
            parameter.grad = gradient
        for group, entries_before in groups:
            group.clear()
            group.update(entries_before)


def _initial_lrs(optimizer: Any) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The groups of an optimizer with copies of their entries: the Trainer's scheduler writes into them."""
    return [] if optimizer is None else [(group, dict(group)) for group in optimizer.param_groups]
