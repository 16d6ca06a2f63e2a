"""The LR range test: run a sweep, keep the curve, read the bounds."""

from learnrate.finder import rules, stops
from learnrate.finder.bounds import Bounds, Intervals, NoAnswer, Reasons
from learnrate.finder.curve import Curve
from learnrate.finder.range_test import range_test

__all__ = ["Bounds", "Curve", "Intervals", "NoAnswer", "Reasons", "range_test", "rules", "stops"]
