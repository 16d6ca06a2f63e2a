"""Random schedules: what is true of every one, and their methods with odd arguments."""

import inspect
import math
import pickle
import random
import re
from typing import Any

import numpy as np
from fuzz_arguments import SCHEDULE_ARGUMENTS, Target, case_of, of_schedules
from fuzz_findings import Finding, finding

import learnrate as lr
from learnrate.errors import LearnrateError, UnresolvedError
from learnrate.schedules import Schedule, from_json
from learnrate.schedules.vocabulary import RUNS, SCHEDULES


def halfway(n: Any) -> Any:
    """A function of the count that can be printed, read and pickled."""
    return 0.5 / (1 + n)


def smoothstep(p: Any) -> Any:
    """A shape that can be printed, read and pickled."""
    return p * p * (3 - 2 * p)


FUNCTIONS = (halfway, smoothstep)
RATES = (0.0, 1e-8, 0.01, 0.1, 0.5, 1, 3.0, 1e-300, 1e30)
LENGTHS = (
    0,
    1,
    2,
    3,
    7,
    10,
    100,
    1000,
    2.4,
    10**6,
    2**40,
    "5%",
    "3 epochs",
    "100 updates",
    "2e4 tokens",
    "rest",
    "0%",
    "250%",
)
NUMBER = re.compile(r"(?<![\w.])\d+\.?\d*(?:e[+-]?\d+)?")
"""A number in the text of a schedule."""

FACTORS = (0.5, 0.9, 1.0, 2.0, 1.5, 0.1, 1e-3, 1e3)
HORIZON = lr.Horizon(updates=1000, updates_per_epoch=62.6, tokens_per_update=500)

PLAUSIBLE: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("values",), ((0.3, 0.2, 0.1), (0.1, 0.2))),
    **dict.fromkeys(("milestones",), ((3, 6), (5,), ("30%", "80%"), (1, 2, 3))),
    **{"of": (halfway,), "shape": ("cosine", "linear", "exponential", smoothstep, "1-sqrt")},
    **{"window": ("triangular", "welch", "hann", smoothstep), "shrinks": ("amplitude", "bounds"), "phases": (2, 3)},
    **{"envelope": ("constant", "halving", "gamma per update", "gamma per cycle"), "cycles": (None, 1, 2, 5)},
    **{"decays": ("amplitude", "peak"), "ends": ("exact", "published"), "d_model": (64, 512)},
}
"""Values of the arguments that are neither values, nor lengths, nor factors."""

IS_LENGTH = (
    "length",
    "step_size",
    "step_size_down",
    "period",
    "every",
    "warmup",
    "cooldown",
    "timescale",
    "offset",
    "explore",
)


def plausible(draw: random.Random, name: str) -> Any:
    """A value that an argument of this name may have."""
    if name in PLAUSIBLE:
        return draw.choice(PLAUSIBLE[name])
    if name in IS_LENGTH:
        return draw.choice(LENGTHS)
    if name in ("gamma", "factor", "rate", "decay", "growth", "power", "k", "beta", "pct_start", "steepness"):
        return draw.choice(FACTORS)
    return draw.choice(RATES) if isinstance(SCHEDULE_ARGUMENTS.get(name, 0.1), float) else SCHEDULE_ARGUMENTS[name]


def leaf(draw: random.Random) -> Schedule:
    """A schedule by one name."""
    make: Any = draw.choice(list({**SCHEDULES, **RUNS}.values()))
    parameters = inspect.signature(make).parameters.values()
    return make(**{p.name: plausible(draw, p.name) for p in parameters if p.default is p.empty or draw.random() < 0.3})


def schedule(draw: random.Random, depth: int = 3) -> Schedule:
    """A schedule of up to 2 ** `depth` parts.

    Raises:
        LearnrateError: if the arguments that were drawn do not fit together.
    """
    if depth == 0 or draw.random() < 0.3:
        return leaf(draw)
    inner = schedule(draw, depth - 1)
    pick = draw.choice
    methods = {
        "clip": lambda: inner.clip(low=pick((None, *RATES)), high=pick((None, *RATES))),
        "mirrored": lambda: inner.mirrored(pick(RATES), pick(RATES)),
        "rebase": lambda: inner.rebase(pick((0, 1, 5, 500)), pick((1, 2, 20, 1000))),
        "repeat": lambda: inner.repeat(
            pick((None, 1, 2, 5)), length_growth=pick((1.0, 2.0, 1.5)), value_decay=pick((1.0, 0.5))
        ),
        "staircase": lambda: inner.staircase(pick(LENGTHS)),
        "shift": lambda: inner.shift(pick((*LENGTHS, -1, -5, "-5%", "-2 epochs"))),
        "scaled": lambda: pick(RATES) * inner,
        "chain": lambda: inner >> schedule(draw, depth - 1),
        "product": lambda: inner * schedule(draw, depth - 1),
        "sum": lambda: inner + schedule(draw, depth - 1),
        "resolve": lambda: inner.resolve(HORIZON),
    }
    return methods[pick(list(methods))]()


def case(draw: random.Random) -> Finding | None:
    kind = draw.random()
    if kind < 0.4:
        return case_of(draw, of_schedules())
    built: list[Schedule] = []
    seed = draw.randrange(2**32)
    result = finding(lambda: built.append(schedule(random.Random(seed))))
    if result or not built:
        return result and result.of(f"schedule {seed}")
    if kind < 0.7:
        return case_of(draw, methods_of(built[0]))
    result = finding(lambda: check(built[0], draw))
    return result and result.of(repr(built[0])[:500])


def methods_of(schedule: Schedule) -> tuple[Target, ...]:
    """The methods of a schedule, with arguments that need not fit it."""
    arguments: dict[str, dict[str, Any]] = {
        **{"clip": {"low": 0.01}, "mirrored": {"low": 0.1, "high": 0.2}, "rebase": {"at": 2, "new_length": 3}},
        **{"repeat": {"times": 2}, "resolve": {"horizon": HORIZON}, "shift": {"by": 3}, "staircase": {"every": 2}},
        **{"__call__": {"n": 3}, "__mul__": {"other": 2}, "__add__": {"other": schedule}, "__rshift__": {"after": schedule}},
    }
    if (
        not isinstance(schedule.length, int) or schedule.length <= 10_000
    ):  # a list of all edges of a longer one fills the memory
        arguments |= {"boundaries": {"updates": 50}, "cycle_ends": {"updates": 50}}
    shown = repr(schedule)[:300]
    return tuple(
        Target(f"({shown}).{name}", lambda name=name, valid=valid: (getattr(schedule, name), valid))
        for name, valid in arguments.items()
    )


def check(built: Schedule, draw: random.Random) -> None:
    """What is true of every schedule.

    Raises:
        ValueError: if it is not.
    """
    if lr.parse(repr(built), FUNCTIONS) != built:
        raise ValueError("repr is another schedule")
    if from_json(built.to_json(), FUNCTIONS) != built:
        raise ValueError("JSON is another schedule")
    again = pickle.loads(pickle.dumps(built))
    if again != built or hash(again) != hash(built):
        raise ValueError("a copy is another schedule")
    try:
        resolved = built.resolve(HORIZON)
    except LearnrateError:
        return  # the horizon is too short
    try:
        low, high = resolved.min, resolved.max
    except LearnrateError as error:
        if isinstance(error, UnresolvedError):
            raise ValueError(f"resolve leaves a text: {error}") from error
        return  # a function of the user has no bounds
    counts = [0, 1, draw.randrange(20), draw.randrange(1000), draw.randrange(10**6), draw.random() * 100]
    values = [resolved(n) for n in counts]
    slack = 1e-6 * max(abs(low), abs(high)) + 1e-12
    for n, value in zip(counts, values, strict=True):
        if not (math.isfinite(value) and low - slack <= value <= high + slack):
            raise ValueError(f"{value} at {n} is not within {low} and {high}")
    # A schedule from 1e30, mirrored and clipped to 1, shows the rounding errors of the 1e30.
    rounding = 1e-14 * max(map(abs, map(float, NUMBER.findall(repr(resolved)))), default=0.0)
    if not np.allclose(resolved(np.array(counts, dtype=np.float64)), values, rtol=1e-6, atol=slack + rounding):
        raise ValueError(f"an array of {counts} gives other values than numbers")
    ends = resolved.boundaries(1000)
    if list(ends) != sorted(set(ends)):
        raise ValueError(f"the boundaries do not rise: {ends[:20]}")
