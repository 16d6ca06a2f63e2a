"""React while training: controllers, changes by hand, and the record of what happened."""

from learnrate.control.control import Channel, Control, Decision, Listener
from learnrate.control.controller import Action, Controller, Observation
from learnrate.control.cooldown_now import cooldown_now
from learnrate.control.events import Event, composed
from learnrate.control.gradient_size import gradient_size
from learnrate.control.oscillation import oscillation
from learnrate.control.plateau import plateau
from learnrate.control.requests import Cooldown, Replace, Scale, Stop, Undo
from learnrate.control.slow import slow

__all__ = [
    "Action",
    "Channel",
    "Control",
    "Controller",
    "Cooldown",
    "Decision",
    "Event",
    "Listener",
    "Observation",
    "Replace",
    "Scale",
    "Stop",
    "Undo",
    "composed",
    "cooldown_now",
    "gradient_size",
    "oscillation",
    "plateau",
    "slow",
]
