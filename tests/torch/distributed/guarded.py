"""A guard in many processes: faults in single processes, one decision for all, the same weights everywhere."""

import hashlib

import torch
from torch import nn

import learnrate as lr
from learnrate.control import guard

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
    }
