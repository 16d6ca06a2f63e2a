"""A scenario of a distributed test: controllers over a training whose losses differ between the processes."""

import math
import sys
from pathlib import Path

import torch

import learnrate as lr

sys.path.append(str(Path(__file__).parents[2] / "support"))
from controllers import Heard, halve_when_stalled, skip_not_finite

SCHEDULE = lr.warmup(0.1, 4) >> lr.cosine(0.1, 0.0, 20)
CALLS, AT = 13, 7
"""Calls of `step`, and the call at which the run is interrupted: one update is left out before it."""


def steered(rank, wrap, way="attach"):
    """The LRs of a run, and of one that was interrupted and goes on."""
    state = {}
    run = _Run(rank, wrap, way)
    for call in range(CALLS):
        if call == AT:
            state = run.driver.state_dict()
        if call == AT and rank == 0:
            run.driver.scale(0.5)
        run.step(call)
    run.driver.observe(accuracy=float(rank))
    resumed = _Run(rank, wrap, way)
    resumed.driver.load_state_dict(state)
    if rank == 0:
        resumed.driver.scale(0.5)
    for call in range(AT, CALLS):
        resumed.step(call)
    control = run.driver.control
    run.driver.detach()
    plain = lr.torch.attach(run.optimizer, SCHEDULE)
    try:
        plain.scale(0.5)
        refused = ""
    except lr.errors.ArgumentError as error:  # in one process alone it would wait for the others
        refused = str(error)
    return {
        "refused": refused,
        "used": run.used,
        "schedule": [control.schedule(n) for n in range(len(run.used))],
        "events": [(event.kind, event.update, event.who) for event in control.events],
        "losses": run.heard.losses,
        "resumed": resumed.used,
        "scores": [dict(observation.metrics) for observation in run.heard.evaluations],
    }


class _Run:
    def __init__(self, rank, wrap, way):
        torch.manual_seed(0)
        self.model = wrap(torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        control = [halve_when_stalled(8), skip_not_finite()]
        make = lr.torch.attach if way == "attach" else lr.torch.Scheduler
        self.driver = make(self.optimizer, SCHEDULE, control=control)
        self.rank, self.used, self.heard = rank, [], Heard()
        self.driver.control.listeners.append(self.heard)

    def step(self, call):
        present = self.optimizer.param_groups[0]["lr"]
        bad = call == 4 and self.rank == 1
        output = self.model(torch.ones(2, 4)).mean() * (math.nan if bad else 1.0)
        output.backward()
        self.driver.observe(math.nan if bad else 1.0 + self.rank)
        self.optimizer.step()
        if any(parameter.grad is not None for parameter in self.model.parameters()):
            self.used.append(present)
        if hasattr(self.driver, "step"):
            self.driver.step()
        self.optimizer.zero_grad()
