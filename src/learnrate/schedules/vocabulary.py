"""Every schedule by its name: the closed vocabulary of `parse`, of the JSON form and of the documentation."""

from collections.abc import Callable, Mapping

from learnrate.schedules import runs
from learnrate.schedules.base import Schedule
from learnrate.schedules.chain import Chain
from learnrate.schedules.combine import (
    Clipped,
    Mirrored,
    Product,
    Rebased,
    Repeated,
    Scaled,
    Shifted,
    Staircase,
)
from learnrate.schedules.custom import custom, function
from learnrate.schedules.cycles import cyclical, exp_range, triangular, triangular2
from learnrate.schedules.decays import (
    exponential_decay,
    inverse_sqrt,
    inverse_time,
    natural_exp_decay,
    noam,
    sigmoid_decay,
    time_based,
)
from learnrate.schedules.onecycle import one_cycle
from learnrate.schedules.ramps import (
    constant,
    cosine,
    exponential,
    linear,
    one_minus_sqrt,
    polynomial,
    rex,
    sigmoid,
    tanh,
    warmup,
)
from learnrate.schedules.restarts import warm_restarts
from learnrate.schedules.stairs import multistep, piecewise_constant, step_decay

_LEAVES: tuple[type[Schedule], ...] = (
    constant,
    cosine,
    custom,
    cyclical,
    exp_range,
    exponential,
    exponential_decay,
    function,
    inverse_sqrt,
    inverse_time,
    linear,
    multistep,
    natural_exp_decay,
    noam,
    one_cycle,
    one_minus_sqrt,
    piecewise_constant,
    polynomial,
    rex,
    sigmoid,
    sigmoid_decay,
    step_decay,
    tanh,
    time_based,
    triangular,
    triangular2,
    warm_restarts,
    warmup,
)
SCHEDULES: Mapping[str, type[Schedule]] = {leaf.__name__: leaf for leaf in _LEAVES}
"""Schedules that are written as a call."""

RUNS: Mapping[str, Callable[..., Schedule]] = {
    recipe.__name__: recipe for recipe in (runs.decay, runs.knee, runs.linear_to_zero, runs.trapezoid, runs.wsd)
}
"""Functions that return a composition of schedules."""

METHODS = ("clip", "mirrored", "rebase", "repeat", "shift", "staircase")
"""Methods of a schedule that return one."""

COMBINED: Mapping[str, type[Schedule]] = {
    made.__name__: made for made in (Chain, Clipped, Mirrored, Product, Rebased, Repeated, Scaled, Shifted, Staircase)
}
"""What the operators and methods make; named so in the JSON form."""
