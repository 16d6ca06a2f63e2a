"""learnrate for Lightning: schedules that follow real updates, range test and tuning inside a trainer's own run."""

import sys

from learnrate.lightning.follow import Follow
from learnrate.lightning.range_test import RangeTest, range_test
from learnrate.lightning.recipe import Recipe
from learnrate.lightning.scheduler import Scheduler, configure
from learnrate.lightning.text import register_schedule_type
from learnrate.lightning.tune import Tune

if "jsonargparse" in sys.modules:
    register_schedule_type()

__all__ = [
    "Follow",
    "RangeTest",
    "Recipe",
    "Scheduler",
    "Tune",
    "configure",
    "range_test",
    "register_schedule_type",
]
