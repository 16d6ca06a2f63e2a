"""React while training: controllers, changes by hand, and the record of what happened."""

from learnrate.control.control import Control, Decision
from learnrate.control.controller import Action, Controller, Observation
from learnrate.control.events import Event, composed
from learnrate.control.guard import guard
from learnrate.control.listeners import Channel, Listener
from learnrate.control.report import report
from learnrate.control.requests import Cooldown, Replace, Scale, Stop, Undo

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
    "guard",
    "report",
]
