"""What the learning rate is at each update. Pure: no framework, no optimizer, no state."""

from learnrate.schedules.base import Schedule
from learnrate.schedules.chain import Chain
from learnrate.schedules.combine import Clipped, Mirrored, Product, Rebased, Repeated, Scaled, Shifted, Staircase
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
from learnrate.schedules.durations import Horizon
from learnrate.schedules.jsonform import from_json
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
from learnrate.schedules.runs import decay, knee, linear_to_zero, trapezoid, wsd
from learnrate.schedules.scaling import ScaledLR, inverse_sqrt_scaling, linear_scaling, sqrt_scaling
from learnrate.schedules.stairs import multistep, piecewise_constant, step_decay
from learnrate.schedules.text import parse

__all__ = [
    "Chain",
    "Clipped",
    "Horizon",
    "Mirrored",
    "Product",
    "Rebased",
    "Repeated",
    "Scaled",
    "ScaledLR",
    "Schedule",
    "Shifted",
    "Staircase",
    "constant",
    "cosine",
    "custom",
    "cyclical",
    "decay",
    "exp_range",
    "exponential",
    "exponential_decay",
    "from_json",
    "function",
    "inverse_sqrt",
    "inverse_sqrt_scaling",
    "inverse_time",
    "knee",
    "linear",
    "linear_scaling",
    "linear_to_zero",
    "multistep",
    "natural_exp_decay",
    "noam",
    "one_cycle",
    "one_minus_sqrt",
    "parse",
    "piecewise_constant",
    "polynomial",
    "rex",
    "sigmoid",
    "sigmoid_decay",
    "sqrt_scaling",
    "step_decay",
    "tanh",
    "time_based",
    "trapezoid",
    "triangular",
    "triangular2",
    "warm_restarts",
    "warmup",
    "wsd",
]
