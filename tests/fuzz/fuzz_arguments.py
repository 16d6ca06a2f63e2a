"""Odd arguments of every public callable: it takes them, or refuses them with an error of learnrate."""

import inspect
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import fuzz_values
import numpy as np
import torch
from fuzz_findings import Finding, finding
from matplotlib import pyplot

import learnrate as lr
from learnrate.finder.bounds import Intervals, Reasons
from learnrate.schedules import from_json
from learnrate.schedules.vocabulary import RUNS, SCHEDULES
from trainables import Quadratic

SCHEDULE_ARGUMENTS: dict[str, Any] = {
    **{"value": 0.1, "start": 0.1, "end": 0.01, "length": 10, "base_lr": 0.1, "max_lr": 0.5, "step_size": 10, "gamma": 0.9},
    **{
        "factor": 0.5,
        "milestones": (3, 6),
        "schedules": (lr.constant(0.3), lr.constant(0.2), lr.constant(0.1)),
        "values": (0.3, 0.2, 0.1),
        "decay": 0.1,
        "rate": 0.9,
        "timescale": 10,
        "every": 5,
    },
    **{"height": 0.1, "midpoint": 10, "period": 10, "d_model": 512, "shape": lambda p: p, "of": lambda n: 0.1 + 0 * n},
}
"""Values of the required arguments of all schedules."""

UPDATE_OPTIONS = ("accumulate", "autocast", "scaler", "clip_norm", "clip_value", "closure")


@dataclass(frozen=True)
class Target:
    """A public callable.

    Attributes:
        name: As a user writes it.
        build: Returns the callable and valid keyword arguments, new ones each time.
        users: Names of the arguments whose own code may raise anything.
        more: Names of further keyword arguments.
    """

    name: str
    build: Callable[[], tuple[Callable[..., Any], dict[str, Any]]]
    users: tuple[str, ...] = ()
    more: tuple[str, ...] = ()


@cache
def of_schedules() -> tuple[Target, ...]:
    return (*schedules(), *methods_of_schedules())


@cache
def of_the_rest() -> tuple[Target, ...]:
    return (*curves(), *finders(), *logs(), *controls(), *torch_functions())


def schedules() -> Iterator[Target]:
    for name, schedule in {**SCHEDULES, **RUNS}.items():
        required = {
            parameter.name: SCHEDULE_ARGUMENTS[parameter.name]
            for parameter in inspect.signature(schedule).parameters.values()
            if parameter.default is parameter.empty
        }
        yield Target(name, lambda schedule=schedule, required=required: (schedule, required), ("shape", "of", "window"))
    yield Target("Horizon", lambda: (lr.Horizon, {"updates": 10, "updates_per_epoch": 5, "tokens_per_update": 2}))
    yield Target("parse", lambda: (lr.parse, {"text": "constant(0.1)"}))
    yield Target("from_json", lambda: (from_json, {"text": lr.constant(0.1).to_json()}))
    for scaling in (lr.linear_scaling, lr.sqrt_scaling):
        yield Target(
            scaling.__name__, lambda scaling=scaling: (scaling, {"lr": 0.1, "batch_size": 64, "base_batch_size": 32})
        )
    yield Target("Arm", lambda: (lr.Arm, {"schedule": lr.constant(0.1), "updates": 10}))
    yield Target("inverse_sqrt_scaling", lambda: (lr.inverse_sqrt_scaling, {"k": 0.1, "batch_size": 64}))


def methods_of_schedules() -> Iterator[Target]:
    arguments: dict[str, dict[str, Any]] = {
        **{
            "clip": {"low": 0.01},
            "mirrored": {"low": 0.1, "high": 0.2},
            "rebase": {"at": 2, "new_length": 3},
            "repeat": {"times": 2},
        },
        **{"resolve": {"horizon": 100}, "shift": {"by": 3}, "staircase": {"every": 2}},
        **{"boundaries": {"updates": 10}, "cycle_ends": {"updates": 10}, "to_json": {}},
    }
    for name, valid in arguments.items():
        yield Target(f"schedule.{name}", lambda name=name, valid=valid: (getattr(lr.cosine(0.1, 0.0, 10), name), valid))
    yield Target("schedule.plot", lambda: (lr.cosine(0.1, 0.0, 10).plot, {}), ("ax",))
    yield Target("schedule()", lambda: (lambda n: lr.cosine(0.1, 0.0, 10)(n), {"n": 3}))
    yield Target("schedule >>", lambda: (lambda other: lr.cosine(0.1, 0.0, 10) >> other, {"other": lr.constant(1)}))
    yield Target("schedule +", lambda: (lambda other: lr.cosine(0.1, 0.0, 10).__add__(other), {"other": lr.constant(1)}))
    yield Target("schedule *", lambda: (lambda other: lr.cosine(0.1, 0.0, 10).__mul__(other), {"other": lr.constant(1)}))


def curve() -> lr.Curve:
    lrs = np.geomspace(1e-6, 1.0, 40)
    return lr.Curve(lrs, np.interp(np.log(lrs), np.log([1e-6, 1e-4, 1e-1, 1]), [2, 2, 1, 1.5]), {"accuracy": lrs})


@cache
def plan() -> lr.Plan:
    return lr.tune(Quadratic(), updates=300)


def curves() -> Iterator[Target]:
    arguments: dict[str, dict[str, Any]] = {
        **{"where": {"keep": slice(5)}, "of": {"metric": "accuracy"}, "smoothed": {}, "band": {}, "bounds": {}, "plot": {}},
        **{name: {"path": f"{fuzz_values.folder()}/file"} for name in ("to_csv", "to_html", "save")},
    }
    for name, valid in arguments.items():
        yield Target(f"curve.{name}", lambda name=name, valid=valid: (getattr(curve(), name), valid), ("ax", "rule"))
    for name, valid in {"plot": {}, "save": {"path": f"{fuzz_values.folder()}/file"}}.items():
        yield Target(f"plan.{name}", lambda name=name, valid=valid: (getattr(plan(), name), valid), ("ax",))
    for kind in (lr.Curve, lr.Plan):
        yield Target(f"{kind.__name__}.load", lambda kind=kind: (kind.load, {"path": f"{fuzz_values.folder()}/none"}))
    yield Target("Curve.merge", lambda: (lr.Curve.merge, {"curves": [curve()]}))
    for values in (
        curve(),
        plan(),
        plan().bounds,
        plan().bounds.intervals,
        plan().bounds.reasons,
        lr.NoAnswer("a", "b", "c"),
        lr.Probe(0.1, (0.05, 0.2), "a", "prodigy", 50),
    ):
        kind = type(values)
        names = list(inspect.signature(kind).parameters)
        yield Target(
            kind.__name__, lambda kind=kind, names=names, v=values: (kind, {name: getattr(v, name) for name in names})
        )
    assert {Intervals, Reasons} == {type(plan().bounds.intervals), type(plan().bounds.reasons)}


def finders() -> Iterator[Target]:
    for name in lr.rules.__all__:
        yield Target(f"rules.{name}", lambda name=name: (getattr(lr.rules, name), {"curve": curve()}))
    yield Target("stops.above_best", lambda: (lr.stops.above_best, {}))
    yield Target("stops.no_progress", lambda: (lr.stops.no_progress, {"updates": 5}))
    for rule in (lr.stops.diverged(), lr.stops.above_best(), lr.stops.no_progress(5)):
        yield Target(f"{rule!r}.watch", lambda rule=rule: (rule.watch, {"updates": 50}))
    yield Target(
        "range_test", lambda: (lr.range_test, {"trainable": Quadratic(), "updates": 10}), ("trainable", "stop", "progress")
    )
    users = ("trainable", "family", "progress", "on_curve")
    yield Target("tune", lambda: (lr.tune, {"trainable": Quadratic(), "updates": 100}), users)
    yield Target("probe", lambda: (lr.probe, {"trainable": Quadratic(), "updates": 100}), users)
    yield Target("Recipe", lambda: (lr.Recipe, {"trainable": lambda seed: Quadratic()}))
    yield Target("Recipe.trainable", lambda: (lr.Recipe(lambda seed: Quadratic()).trainable, {"seed": 0}))


class Writer:
    """A tracker that forgets everything."""

    def add_scalar(self, name: str, value: float, step: int) -> None:
        assert isinstance(value, float)

    def add_text(self, name: str, text: str, step: int) -> None:
        assert isinstance(text, str)


def logs() -> Iterator[Target]:
    yield Target("logs.to", lambda: (lr.logs.to, {"writer": Writer()}), ("writer",))
    log = lr.logs.to(Writer())
    yield Target("log()", lambda: (lambda update, lr: log(update, lr=lr), {"update": 3, "lr": 0.1}))
    for name, value in {"schedule": lr.constant(0.1), "curve": curve(), "plan": plan()}.items():
        yield Target(f"log.{name}", lambda name=name, value=value: (getattr(log, name), {name: value}))


def training() -> dict[str, Any]:
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 1)
    batches = [(torch.randn(4, 2), torch.randn(4, 1)) for _ in range(5)]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return {"model": model, "optimizer": optimizer, "batches": batches, "loss": torch.nn.MSELoss()}


def torch_functions() -> Iterator[Target]:
    users = (
        "model",
        "optimizer",
        "batches",
        "loss",
        "evaluate",
        "held_out",
        "also_keep",
        "stop",
        "progress",
        "family",
        "on_curve",
    )
    functions: dict[str, dict[str, Any]] = {
        "range_test": {"updates": 10},
        "accuracy_test": {
            "held_out": [(torch.randn(4, 2), torch.zeros(4))],
            "low": 1e-3,
            "high": 0.1,
            "epochs": 2,
            "points": 10,
        },
        "tune": {"updates": 100, "budget": "60 updates"},
        "probe": {"updates": 100},
    }
    for name, valid in functions.items():
        yield Target(
            f"torch.{name}",
            lambda name=name, valid=valid: (getattr(lr.torch, name), {**training(), **valid}),
            users,
            UPDATE_OPTIONS,
        )
    yield Target(
        "torch.Recipe",
        lambda: (lr.torch.Recipe, {name: (lambda *arguments: None) for name in training()}),
        (),
        UPDATE_OPTIONS,
    )
    yield Target("torch.Recipe.trainable", lambda: (recipe().trainable, {"seed": 0}))
    yield from drivers()
    yield Target(
        "torch.preserve",
        lambda: (preserve, {**dict(list(training().items())[:2]), "copy_to": "auto", "restore": True, "other": None}),
    )


def recipe() -> lr.torch.Recipe:
    functions = {name: (lambda *arguments, value=value: value) for name, value in training().items()}
    return lr.torch.Recipe(**{**functions, "loss": torch.nn.MSELoss()})


def drivers() -> Iterator[Target]:
    schedule = lr.constant(0.1)
    yield Target(
        "torch.attach",
        lambda: (lr.torch.attach, {"optimizer": training()["optimizer"], "lr": schedule}),
        more=("weight_decay", "nesterov", "params", "x" * 1000),
    )
    yield Target(
        "torch.Scheduler", lambda: (lr.torch.Scheduler, {"optimizer": training()["optimizer"], "schedule": schedule})
    )
    for driver, name in (("attach", "lr"), ("Scheduler", "schedule")):
        driven = lambda driver=driver: getattr(lr.torch, driver)(training()["optimizer"], schedule)  # noqa: E731
        yield Target(
            f"torch.{driver}.load_state_dict",
            lambda driven=driven: (driven().load_state_dict, {"state_dict": driven().state_dict()}),
        )
        yield Target(f"torch.{driver}.replace", lambda driven=driven, name=name: (driven().replace, {name: schedule}))
    yield Target("torch.Scheduler.step", lambda: (lr.torch.Scheduler(training()["optimizer"], schedule).step, {}))


def preserve(model: Any, optimizer: Any, other: Any, copy_to: Any, restore: Any) -> None:
    with lr.torch.preserve(model, optimizer, other, copy_to=copy_to, restore=restore):
        pass


def controls() -> Iterator[Target]:
    makers: dict[str, dict[str, Any]] = {
        **{"plateau": {"patience": 10}, "slow": {"patience": 10}, "oscillation": {}, "gradient_size": {}, "guard": {}},
        **{"cooldown_now": {"length": 10, "patience": 10}, "greedy": {}, "by_hand": {"file": "commands.txt"}, "Page": {}},
        **{"Scale": {"factor": 0.5}, "Replace": {"schedule": "constant(0.1)"}, "Cooldown": {"length": 5}},
    }
    for name, valid in makers.items():
        yield Target(f"control.{name}", lambda name=name, valid=valid: (getattr(lr.control, name), valid))
    for name in ("torch", "keras", "timm", "optax"):
        yield Target(f"control.plateau.{name}", lambda name=name: (getattr(lr.control.plateau, name), {}))
    follow = lambda **more: lr.control.Follow(lr.constant(0.1), **more)  # noqa: E731
    yield Target("control.Follow", lambda: (lr.control.Follow, {"schedule": lr.constant(0.1)}))
    yield Target("control.Follow.observe", lambda: (follow().observe, {"loss": 1.0, "gradient_norm": 2.0}))
    yield Target(
        "control.Follow.observe scores", lambda: (lambda accuracy: follow().observe(accuracy=accuracy), {"accuracy": 1})
    )
    yield Target("control.Follow.scale", lambda: (follow().scale, {"factor": 0.5, "why": "a try"}))
    state = {"state": follow(control=lr.control.plateau(10)).state_dict()}
    yield Target("control.Follow.load_state_dict", lambda: (follow().load_state_dict, state))
    request = lambda: lr.control.Control([lr.constant(0.1)]).request  # noqa: E731
    yield Target("control.Control.request", lambda: (request(), {"change": lr.control.Stop(), "why": "a try"}))
    yield Target("Record.load", lambda: (lr.Record.load, {"path": "no.sqlite"}))


def case(draw: random.Random) -> Finding | None:
    return case_of(draw, of_the_rest())


def case_of(draw: random.Random, targets: tuple[Target, ...]) -> Finding | None:
    target = draw.choice(targets)
    function, arguments = target.build()
    parameters = inspect.signature(function).parameters.values()
    names = [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    names = [*names, *target.more]
    if not names:
        return None
    value: Any = None
    changed = draw.sample(names, min(len(names), draw.choice((1, 1, 1, 2))))
    for name in changed:
        value = draw.choice(fuzz_values.values())
        if target.name.endswith(("tune", "probe")) and type(value) is int and value == 2**53:
            return None  # it would begin to train for as long
        if name == "page" and value is True:
            return None  # it would serve a page until the process ends
        arguments = {**arguments, name: value}
    users_code = any(name in target.users and usable(arguments[name]) for name in changed)
    result = finding(lambda: function(**arguments), users_code=users_code)
    if target.name.endswith("plot"):
        pyplot.close("all")
    shown = ", ".join(f"{name}={_shown(arguments[name])}" for name in changed)
    return result and result.of(f"{target.name}({shown})")


def usable(value: Any) -> bool:
    """Whether a value is what a user may give as a function or as data, whose own errors are not learnrate's."""
    containers = (list, tuple, set, dict, range, torch.Tensor, np.ndarray)
    return callable(value) or (isinstance(value, containers) and getattr(value, "ndim", 1) != 0)


def _shown(value: object) -> str:
    try:
        return repr(value)[:60]
    except Exception:
        return f"<{type(value).__name__}>"
