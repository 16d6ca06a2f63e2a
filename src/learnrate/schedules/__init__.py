"""The value of the learning rate at each update. Pure: no framework, no optimizer, no state."""

from learnrate.schedules import vocabulary as _vocabulary
from learnrate.schedules.arithmetic import *  # noqa: F403
from learnrate.schedules.base import Schedule
from learnrate.schedules.catalogue import *  # noqa: F403
from learnrate.schedules.chain import *  # noqa: F403
from learnrate.schedules.combine import *  # noqa: F403
from learnrate.schedules.durations import Horizon
from learnrate.schedules.jsonform import from_json
from learnrate.schedules.scaling import ScaledLR, inverse_sqrt_scaling, linear_scaling, sqrt_scaling
from learnrate.schedules.text import parse

__all__ = ["Horizon", "ScaledLR", "Schedule", "from_json", "inverse_sqrt_scaling", "linear_scaling", "parse", "sqrt_scaling"]
__all__ += [*_vocabulary.NAMES, *_vocabulary.COMBINED]
