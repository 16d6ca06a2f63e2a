"""The finders of other libraries, by their own interfaces and with their own defaults; and the usual LR."""

import functools
import tempfile
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from benchmarks.choice.methods.method import Answer, Method, failed, version_of
from benchmarks.choice.task import Task
from benchmarks.choice.training import built


def usual() -> Method:
    """The LR of the task's optimizer: what a practitioner would type without a test."""

    def answers(task: Task, seed: int) -> tuple[Answer]:
        return (Answer(built(task, seed)[1].param_groups[0]["lr"]),)

    return Method(("usual",), answers, lambda: "task")


FASTAI = ("valley", "slide", "minimum", "steep")
"""The rules of fastai, its default first."""


def fastai() -> Method:
    """One sweep of `Learner.lr_find`, read by all of its rules."""

    def answers(task: Task, seed: int) -> tuple[Answer, ...]:
        import fastai.callback.schedule as schedule  # gives Learner its lr_find
        from fastai.callback.training import GradientClip
        from fastai.data.core import DataLoaders
        from fastai.learner import Learner
        from fastai.optimizer import OptimWrapper

        model, optimizer = built(task, seed)

        def wrapped(*_: Any, **__: Any) -> Any:
            return OptimWrapper(opt=optimizer)

        notes: dict[str, str] = {}
        rules = tuple(apart(getattr(schedule, name), notes) for name in FASTAI)
        clip = [] if task.clip_norm is None else [GradientClip(task.clip_norm)]
        with tempfile.TemporaryDirectory() as folder:
            data = DataLoaders(task.batches(), task.batches())
            learner = Learner(data, model, loss_func=task.criterion, opt_func=wrapped, path=folder, cbs=clip)
            with learner.no_bar():
                found = learner.lr_find(show_plot=False, suggest_funcs=rules)
        return tuple(Answer(getattr(found, name), notes.get(name, "")) for name in FASTAI)

    names = tuple(f"fastai {name}" for name in FASTAI)
    return Method(names, answers, functools.partial(version_of, "fastai", __file__))


def apart(rule: Callable[..., Any], notes: dict[str, str]) -> Callable[..., Any]:
    """A rule of fastai; if it fails, this is noted, and the other rules of the sweep still give their answers."""

    @functools.wraps(rule)
    def tried(*arguments: Any) -> Any:
        try:
            return rule(*arguments)
        except Exception as error:
            notes[rule.__name__] = failed(error).note
            return None, None

    return tried


PYTORCH_LR_FINDER_START = 1e-7
"""Its default is the LR of the optimizer, which its README sets to 1e-7 for a sweep."""


def pytorch_lr_finder() -> Method:
    """`LRFinder.range_test` on the training loss, and the suggestion of `plot`."""

    def answers(task: Task, seed: int) -> tuple[Answer]:
        from matplotlib.figure import Figure
        from torch_lr_finder import LRFinder, TrainDataLoaderIter

        model, optimizer = built(task, seed)
        clip_before_steps(task, model, optimizer)
        finder = LRFinder(model, optimizer, task.criterion)
        finder.range_test(TrainDataLoaderIter(task.batches()), start_lr=PYTORCH_LR_FINDER_START)
        # It suggests an LR only together with a plot.
        return (Answer(finder.plot(ax=Figure().subplots(), suggest_lr=True)[1]),)

    return Method(("pytorch-lr-finder",), answers, functools.partial(version_of, "torch-lr-finder", __file__))


def clip_before_steps(task: Task, model: nn.Module, optimizer: Optimizer) -> None:
    """Clip as the task does, for a loop that has no option for it.

    Not for Lightning, which computes the gradients inside the step of the optimizer.
    """

    def clip(*_: Any) -> None:
        if task.clip_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), task.clip_norm)

    optimizer.register_step_pre_hook(clip)


def lightning() -> Method:
    """The suggestion of `Tuner.lr_find`."""

    def answers(task: Task, seed: int) -> tuple[Answer]:
        from lightning.pytorch import LightningModule, Trainer
        from lightning.pytorch.tuner import Tuner

        model, optimizer = built(task, seed)

        class Module(LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.model = model

            def training_step(self, batch: Any, index: int) -> torch.Tensor:
                x, y = batch
                return task.criterion(self.model(x), y)

            def configure_optimizers(self) -> Optimizer:
                return optimizer

        quiet = ("logger", "enable_progress_bar", "enable_checkpointing", "enable_model_summary")
        off = dict.fromkeys(quiet, False)
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(
                accelerator="cpu",
                max_steps=task.updates,
                gradient_clip_val=task.clip_norm,
                default_root_dir=folder,
                **off,
            )  # fmt: skip
            # By default it also looks for an attribute of the module to write the LR to.
            finder = Tuner(trainer).lr_find(Module(), task.batches(), update_attr=False)
        found = finder.suggestion()
        return (Answer(found, "" if found is not None else "no suggestion: too few finite losses"),)

    return Method(("Lightning",), answers, functools.partial(version_of, "lightning", __file__))
