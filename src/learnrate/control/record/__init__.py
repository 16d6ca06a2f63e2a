"""The record of a run: a file that is written while it trains, and the value that is read from it."""

from learnrate.control.record.record import Metric, Record
from learnrate.control.record.recorder import Recorder

__all__ = ["Metric", "Record", "Recorder"]
