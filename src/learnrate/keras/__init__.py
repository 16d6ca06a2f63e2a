"""learnrate for Keras 3, on its torch and JAX backends: schedules, range test, tuning in place, recipes."""

from learnrate.keras.follow import Follow
from learnrate.keras.range_test import range_test
from learnrate.keras.recipe import Recipe
from learnrate.keras.schedule import Schedule
from learnrate.keras.tune import tune

__all__ = ["Follow", "Recipe", "Schedule", "range_test", "tune"]
