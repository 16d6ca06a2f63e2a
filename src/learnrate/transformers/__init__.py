"""learnrate for the Trainer of Transformers: schedules that really drive it, exact resume, the range test and tuning."""

from learnrate.transformers.follow import Follow
from learnrate.transformers.in_place import range_test, tune
from learnrate.transformers.recipe import Recipe
from learnrate.transformers.scheduler import scheduler
from learnrate.transformers.tuning import Tune

__all__ = ["Follow", "Recipe", "Tune", "range_test", "scheduler", "tune"]
