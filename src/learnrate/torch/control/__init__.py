"""Control in torch: what an optimizer's updates show, and what is done about it."""

from learnrate.torch.control.options import ControlOptions, asks_for_control, check_options, copied
from learnrate.torch.control.steered import Steered
from learnrate.torch.control.steering import Followed, Steering

__all__ = ["ControlOptions", "Followed", "Steered", "Steering", "asks_for_control", "check_options", "copied"]
