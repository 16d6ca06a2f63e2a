"""learnrate's `tune`, at several budgets, and its `probe`."""

from pathlib import Path

import learnrate as lr
from benchmarks.choice.methods.method import Answer, Method
from benchmarks.choice.store import digest
from benchmarks.choice.task import Task
from benchmarks.choice.training import built, schedule
from learnrate.tuner.budget import usual

BUDGETS = {"learnrate": 1.0, "learnrate, half": 0.5, "learnrate, double": 2.0}
"""Multiples of the usual budget."""

FORMER = ("former search", "former search, half", "former search, quarter", "former search, double")
"""`tune` before it had a probe: a range test, then trials of two lengths, with the budget of `run.whole_budget` or a part or
twice of it. There are records of it, and no code."""

NOT_CHOOSING = ("__init__.py", "carry.py", "figure.py")
"""Files of the tuner that have no part in a choice."""


def learnrate(name: str) -> Method:
    """`lr.torch.tune` as a user calls it, with the fixed schedule as its family."""

    def answers(task: Task, seed: int) -> tuple[Answer]:
        model, optimizer = built(task, seed)
        try:
            plan = lr.torch.tune(
                model,
                optimizer,
                task.batches(),
                lambda model, batch: task.criterion(model(batch[0]), batch[1]),
                updates=task.updates,
                family=lambda max_lr: schedule(max_lr, task.updates),
                evaluate=task.validate,
                budget=f"{budget(task, name)} updates",
                clip_norm=task.clip_norm,
                seed=seed,
            )
        except lr.errors.NoAnswerError as error:
            return (Answer(None, str(error)),)
        return (Answer(plan.max_lr, interval=plan.interval),)

    return Method((name,), answers, version)


PROBE = "learnrate, probe"


def probe() -> Method:
    """`lr.torch.probe` as a user calls it."""

    def answers(task: Task, seed: int) -> tuple[Answer]:
        model, optimizer = built(task, seed)
        try:
            answer = lr.torch.probe(
                model, optimizer, task.batches(), task.criterion, updates=task.updates, clip_norm=task.clip_norm, seed=seed
            )
        except lr.errors.NoAnswerError as error:
            return (Answer(None, str(error)),)
        return (Answer(answer.lr, interval=answer.interval),)

    return Method((PROBE,), answers, probe_version)


def budget(task: Task, name: str = "learnrate") -> int:
    """Updates that it may make."""
    return int(BUDGETS[name] * usual(task.updates))


def version() -> str:
    """Hash of the code that chooses."""
    source = Path(lr.__file__).parent
    tuner = sorted(path for path in (source / "tuner").glob("*.py") if path.name not in NOT_CHOOSING)
    return digest([*tuner, source / "torch" / "tune.py", source / "torch" / "training" / "probing.py"])


def probe_version() -> str:
    """Hash of the code that probes."""
    source = Path(lr.__file__).parent
    probing = source / "torch" / "training" / "probing.py"
    return digest([probing, *(source / "tuner" / name for name in ("probe.py", "step_sizes.py"))])
