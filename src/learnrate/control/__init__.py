"""React while training: controllers, changes by hand, and the record of what happened."""

from learnrate.control.by_hand import by_hand
from learnrate.control.composition import composed
from learnrate.control.control import Control
from learnrate.control.controller import Action, Controller, Decision, Observation
from learnrate.control.cooldown_now import cooldown_now
from learnrate.control.events import Event
from learnrate.control.follow import Follow
from learnrate.control.gradient_size import gradient_size
from learnrate.control.guard import guard
from learnrate.control.listeners import Channel, Listener
from learnrate.control.live import LivePage, Page, widget
from learnrate.control.oscillation import oscillation
from learnrate.control.peers import greedy
from learnrate.control.plateau import plateau
from learnrate.control.report import report
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
    "Follow",
    "Listener",
    "LivePage",
    "Observation",
    "Page",
    "Replace",
    "Scale",
    "Stop",
    "Undo",
    "by_hand",
    "composed",
    "cooldown_now",
    "gradient_size",
    "greedy",
    "guard",
    "oscillation",
    "plateau",
    "report",
    "slow",
    "widget",
]
