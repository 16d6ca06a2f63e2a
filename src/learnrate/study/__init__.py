"""Compare schedules over seeds, with every run's record kept. Knows no framework."""

from learnrate.study.comparison import Arm, Comparison, Training, compare

__all__ = ["Arm", "Comparison", "Training", "compare"]
