"""Runs that are recorded, for the tests of records."""

from learnrate.control import Observation
from learnrate.control.running import begin


def step(control, n, loss=None, gradient_norm=None):
    """An update as an adapter makes it; returns the LR that it used."""
    used = max(schedule(n) for schedule in control.schedules)
    control.observe(Observation(n, lr=used, loss=1 / (n + 1) if loss is None else loss, gradient_norm=gradient_norm))
    control.settle(n + 1)
    return used


def run(control, updates):
    """Updates one after the other; returns their LRs."""
    return [step(control, n) for n in updates]


def recorded(path, schedule, updates, **more):
    """A whole run with its record."""
    control = begin([schedule], record=path, **more)
    used = run(control, range(updates))
    control.close()
    return used
