"""The LR range test of a module, on the trainer's own data, optimizer and precision."""

import inspect
from typing import Any

from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.combined_loader import CombinedLoader
from lightning.pytorch.utilities.exceptions import _TunerExitException
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Generator

from learnrate import checks
from learnrate.errors import ArgumentError
from learnrate.finder import Curve
from learnrate.interrupts import within
from learnrate.lightning.training import in_place, quiet
from learnrate.torch.range_test import range_test as torch_range_test
from learnrate.torch.training import Updater

FIXED = ("model", "optimizer", "batches", "loss", "restore", "accumulate", "autocast", "scaler", "clip_norm", "clip_value")
"""Arguments of torch's range test that follow from the trainer."""


class RangeTest(Callback):
    """Make an LR range test when the training begins, and give everything back; then the training goes on as without it.

    A run that is resumed from a checkpoint makes none.

    Args:
        **options: Those of `learnrate.torch.range_test`: `low`, `high`, `updates`, `stop`, `seed`, `evaluate`, and so on.
            Optimizer, data, precision, clipping and accumulation are the trainer's.

    Attributes:
        curve: The curve; None before the training has begun, and in a run that was resumed.

    Raises:
        ArgumentError: if an option follows from the trainer; when the training begins, if the trainer makes its updates in a
            way that cannot be repeated, such as manual optimisation.

    Example:
        >>> import lightning, learnrate as lr
        >>> callback = lr.lightning.RangeTest(updates=50)
        >>> trainer = lightning.Trainer(max_epochs=3, callbacks=[callback], logger=False, enable_checkpointing=False)
    """

    def __init__(self, **options: Any) -> None:
        _check_options(options)
        self._options = options
        self.curve: Curve | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make the test."""
        if trainer.global_step == 0:
            self.curve = sweep(trainer, pl_module, self._options)


def range_test(
    trainer: Trainer,
    module: LightningModule,
    train_dataloaders: Any = None,
    datamodule: LightningDataModule | None = None,
    **options: Any,
) -> Curve:
    """The LR range test of a module under a trainer, which does not train it: everything is given back.

    The trainer's loggers and its callbacks take no part, so that a callback that freezes a part of the module must have done
    so before.

    Args:
        trainer: The trainer, whose precision, devices, clipping and accumulation are used.
        module: The module.
        train_dataloaders: The training data, as for `trainer.fit`.
        datamodule: The same.
        **options: Those of `learnrate.torch.range_test`: `low`, `high`, `updates`, `stop`, `seed`, `evaluate`, and so on.

    Returns:
        The curve: `bounds()`, `plot()`, `suggestions()`.

    Raises:
        ArgumentError: if an option follows from the trainer, the trainer makes its updates in a way that cannot be repeated,
            or it would make none.
        ArgumentTypeError: if an argument is of the wrong kind.
    """
    for name, value, kind in (("trainer", trainer, Trainer), ("module", module, LightningModule)):
        if not isinstance(value, kind):
            checks.refuse_type(name, f"a {kind.__name__}", value)
    _check_options(options)
    callback = _RangeTestAlone(options)
    callbacks, loggers = trainer.callbacks, trainer.loggers  # type: ignore[attr-defined]
    own_trainer = module._trainer  # the public property raises without a trainer
    generators = [(generator, generator.get_state()) for generator in _generators(train_dataloaders)]
    try:
        trainer.callbacks = [callback]  # type: ignore[attr-defined]
        trainer.loggers = []
        with isolate_rng():
            trainer.fit(module, train_dataloaders=train_dataloaders, datamodule=datamodule)
    finally:
        trainer.callbacks, trainer.loggers = callbacks, loggers  # type: ignore[attr-defined]
        module._trainer = own_trainer
        for generator, state in generators:
            generator.set_state(state)
    if callback.curve is None:
        raise ArgumentError("range_test must be given a Trainer that would train, this one makes no update: see its limits")
    return callback.curve


class _RangeTestAlone(Callback):
    """Makes the test and ends the run before its first update."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self.curve: Curve | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.curve = sweep(trainer, pl_module, self._options)
        raise _TunerExitException  # the trainer ends quietly, as for its own finder


def sweep(trainer: Trainer, module: LightningModule, options: dict[str, Any]) -> Curve:
    """The range test of a trainer that is about to train."""
    training = in_place("the range test", trainer, module)
    also_keep = [*training.loaders, *options.get("also_keep", ())]

    def test(_: None) -> Curve:
        return torch_range_test(
            *(training.model, training.optimizer, training.batches, training.loss),
            **{**options, "also_keep": also_keep, **training.options},
        )

    return within(quiet(trainer, module), test)


def _check_options(options: dict[str, Any]) -> None:
    fixed = [name for name in FIXED if name in options]
    if fixed:
        raise ArgumentError(f"{', '.join(fixed)} must not be given: the range test takes it from the trainer")
    also_keep = options.get("also_keep", ())
    if not isinstance(also_keep, (list, tuple)):
        checks.refuse_type("also_keep", "a list of objects to keep", also_keep)
    parameters = inspect.signature(torch_range_test).parameters.values()
    names = [parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD]
    Updater.of({name: value for name, value in options.items() if name not in names}, torch_range_test)


def _generators(loaders: Any) -> list[Generator]:
    """The generators of random numbers of the user's loaders, from which a trainer draws when it sets them up."""
    if loaders is None:
        return []
    flattened = (
        CombinedLoader(loaders, "min_size").flattened if not isinstance(loaders, CombinedLoader) else loaders.flattened
    )
    owners = [owner for loader in flattened for owner in (loader, getattr(loader, "sampler", None))]
    generators = [getattr(owner, "generator", None) for owner in owners]
    return [generator for generator in generators if isinstance(generator, Generator)]
