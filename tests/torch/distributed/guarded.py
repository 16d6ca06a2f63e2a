"""A guard in many processes: faults in single processes, one decision for all, the same weights everywhere."""

import hashlib
import math
import warnings

import torch
from torch import nn

import learnrate as lr
from learnrate.control import guard
from learnrate.errors import NotRestoredWarning

UPDATES = 130


def digest(model):
    """Of the whole weights, also where each process has a part of them."""
    whole = [value.full_tensor() if hasattr(value, "full_tensor") else value for value in model.parameters()]
    return hashlib.sha256(b"".join(value.detach().numpy().tobytes() for value in whole)).hexdigest()


def guarded(rank, size, model, trained, optimizer):
    """A NaN in the first process, a run of spikes in the last one."""
    control = guard(every=20, patience=2, recovery=40)
    attachment = lr.torch.attach(optimizer, lr.constant(0.01), control=control, model=trained)
    data = torch.Generator().manual_seed(rank)
    weights, used = {}, []
    for n in range(UPDATES):
        inputs = torch.randn(16, 6, generator=data)
        targets = (inputs[:, :3].sum(1) > 0).long()
        if n == 50 and rank == 0:
            inputs = inputs * float("nan")
        loss = nn.functional.cross_entropy(trained(inputs), targets)
        if n in (80, 81) and rank == size - 1:
            loss = loss * 1e5
        optimizer.zero_grad()
        loss.backward()
        attachment.observe(loss)
        weights[attachment.updates] = digest(trained)
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if n == 81:
            after = digest(trained)
    events = attachment.control.events
    (rollback,) = (event for event in events if event.kind == "rollback")
    return {
        "kinds": [event.kind for event in events],
        "put back": after == weights[rollback.evidence["restored"]],
        "restored": rollback.evidence["restored"],
        "weights": digest(trained),
        "used": used,
        "statistics": [bool(torch.isfinite(value).all()) for value in model.buffers()],
        "updates": attachment.updates,
        "late": late(),
    }


class Updates:
    """A listener that keeps the updates."""

    def __init__(self):
        self.rows = []

    def on_update(self, observation):
        self.rows.append((observation.update, observation.lr, observation.loss))

    def on_event(self, event):
        """Nothing."""

    def close(self):
        """Nothing."""


def late():
    """Losses that are looked at one update later: of three updates, and then of none, as if a scaler skipped all."""
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = lr.linear(0.1, 0.05, 10)
    attachment = lr.torch.attach(optimizer, schedule, control=guard(late=True), model=model)
    heard = Updates()
    attachment.control.listeners.append(heard)
    for _ in range(3):
        loss = model(torch.ones(2)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        attachment.observe(loss)
        optimizer.step()
    with warnings.catch_warnings(record=True, action="always") as caught:
        for _ in range(80):
            attachment.observe(torch.tensor(math.nan))
    attachment.detach()
    rows = [(update, rate == schedule(update), loss is not None) for update, rate, loss in heard.rows]
    return {"rows": rows, "warned": [warning.category is NotRestoredWarning for warning in caught]}
