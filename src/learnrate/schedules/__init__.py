"""What the learning rate is at each update. Pure: no framework, no optimizer, no state."""

from learnrate.schedules.base import Chain, Schedule
from learnrate.schedules.cycles import exp_range, one_cycle, triangular, triangular2
from learnrate.schedules.ramps import constant, cosine, exponential, linear, polynomial, warmup
from learnrate.schedules.text import parse

__all__ = [
    "Chain",
    "Schedule",
    "constant",
    "cosine",
    "exp_range",
    "exponential",
    "linear",
    "one_cycle",
    "parse",
    "polynomial",
    "triangular",
    "triangular2",
    "warmup",
]
