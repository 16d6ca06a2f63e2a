"""React while training: controllers, changes by hand, and the record of what happened."""

from learnrate.control.control import Channel, Control, Decision, Listener
from learnrate.control.controller import Action, Controller, Observation
from learnrate.control.events import Event, composed
from learnrate.control.live import LivePage, Page, widget
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
    "LivePage",
    "Observation",
    "Page",
    "Replace",
    "Scale",
    "Stop",
    "Undo",
    "composed",
    "widget",
]
