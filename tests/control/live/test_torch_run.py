"""A real training in torch, steered through its page, and run again from its record."""

import threading

import pytest
import torch

import learnrate as lr
from live_run import Client

SCHEDULE = lr.warmup(0.1, 20) >> lr.cosine(0.1, 0.0, 180)


def steps(optimizer, model, count, attachment=None):
    """Updates of a small model; returns the LRs that the optimizer used."""
    used = []
    for _ in range(count):
        optimizer.zero_grad()
        loss = model(torch.ones(4, 3)).square().mean()
        loss.backward()
        if attachment is not None:
            attachment.observe(loss)
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
    return used


def begun(schedule, **more):
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return model, optimizer, lr.torch.attach(optimizer, schedule, **more)


@pytest.mark.shows("torch", "record")
def test_steered_over_http_and_run_again_from_its_record(tmp_path):
    model, optimizer, attachment = begun(SCHEDULE, page=True, record=tmp_path / "run.sqlite")
    control = attachment.control
    (page,) = [listener for listener in control.listeners if isinstance(listener, lr.control.LivePage)]
    client = Client(page)
    changes = [
        {"kind": "scale", "factor": 0.3},
        {"kind": "replace", "schedule": "cosine(0.05, 0, 'rest')"},
        {"kind": "undo"},
        {"kind": "cooldown", "length": 30},
    ]
    try:
        used = steps(optimizer, model, 10, attachment)
        for change in changes:
            # Asked for between two updates, so that the answer waits for the one that follows.
            answers = []
            asking = ask(client, change, answers)
            while asking.is_alive():
                used += steps(optimizer, model, 1, attachment)
                asking.join(0.005)
            assert answers[0].status == 200, answers[0].body
            applied = answers[0].json()["update"]
            assert control.events[-1].update == applied
            used += steps(optimizer, model, 8, attachment)
        assert [event.kind for event in control.events] == [change["kind"] for change in changes]
    finally:
        attachment.detach()
        page.stop()
    record = lr.Record.load(tmp_path / "run.sqlite")
    assert record.lrs.tolist() == used
    again = record.schedule()
    assert steps(*reversed(begun(again)[:2]), count=len(used)) == used


def ask(client, change, answers):
    thread = threading.Thread(target=lambda: answers.append(client.change(change)))
    thread.start()
    return thread
