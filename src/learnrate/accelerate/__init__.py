"""learnrate for Accelerate: schedules that count updates, exact resume, the range test and tuning in a loop of its own."""

from learnrate.accelerate.in_place import range_test, tune
from learnrate.accelerate.prepare import prepare
from learnrate.accelerate.scheduler import Scheduler

__all__ = ["Scheduler", "prepare", "range_test", "tune"]
