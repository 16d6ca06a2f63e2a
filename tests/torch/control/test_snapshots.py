"""Snapshots of a guard: everything is put back in place, whatever an optimizer or a module keeps."""

import signal

import pytest
import torch
from torch import nn

from facts import facts
from learnrate.errors import NotRestoredWarning
from learnrate.torch.control.snapshots import Snapshots


class Averaging(nn.Module):
    """A module that replaces its buffer at each forward pass, and has one of another size after a while."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 1)
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("first_inputs", torch.zeros(0))

    def forward(self, inputs):
        self.mean = 0.9 * self.mean + 0.1 * inputs.mean(0)
        self.first_inputs = torch.cat([self.first_inputs, inputs[:1, 0]])
        return self.linear(inputs - self.mean)


OPTIMIZERS = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, 0.1),
    "momentum": lambda parameters: torch.optim.SGD(parameters, 0.1, momentum=0.9),
    "AdamW, amsgrad": lambda parameters: torch.optim.AdamW(parameters, 0.01, amsgrad=True),
    "Adafactor": lambda parameters: torch.optim.Adafactor(parameters, 0.01),
    "Rprop": lambda parameters: torch.optim.Rprop(parameters, 0.01),
    "LBFGS": lambda parameters: torch.optim.LBFGS(parameters, 0.1, max_iter=4),
}


def trained(model, optimizer, updates, seed):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(updates):
        inputs = torch.randn(8, 3, generator=generator)

        def closure(inputs=inputs):
            optimizer.zero_grad()
            loss = (model(inputs) - inputs.sum(1, keepdim=True)).square().mean()
            loss.backward()
            return loss

        optimizer.step(closure)


def everything(model, optimizer):
    return {
        "model": [value.clone() for value in model.state_dict().values()],
        "state": [repr(sorted(state.items())) for state in optimizer.state.values()],
    }


def equal(actual, expected):
    same = all(torch.equal(a, b) for a, b in zip(actual["model"], expected["model"], strict=True))
    return same and actual["state"] == expected["state"]


@pytest.mark.parametrize("where", ["memory", "cpu", "disk"])
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("before", [0, 3])
def test_whatever_an_optimizer_keeps_comes_back(name, where, before):
    torch.manual_seed(0)
    model = Averaging()
    optimizer = OPTIMIZERS[name](model.parameters())
    trained(model, optimizer, before, 1)
    snapshots = Snapshots(model, where)
    snapshots.take(optimizer, before)
    kept = everything(model, optimizer)
    for seed in (2, 3):  # it can be put back more than once
        trained(model, optimizer, 3, seed)
        assert not equal(everything(model, optimizer), kept)
        assert snapshots.restore(optimizer, 10, delay=0) == before
        assert equal(everything(model, optimizer), kept)
    trained(model, optimizer, 2, 4)
    after = everything(model, optimizer)
    snapshots.restore(optimizer, 10, delay=0)
    trained(model, optimizer, 2, 4)
    assert equal(everything(model, optimizer), after), "the run goes on as it did"


def test_numbers_in_groups_come_back_and_driven_ones_stay():
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD([{"params": model.parameters(), "d": 1e-6, "k": 3}], lr=0.1, momentum=0.9)
    snapshots = Snapshots(model, "memory")
    snapshots.take(optimizer, 0)
    optimizer.param_groups[0].update(d=0.5, k=9, lr=0.2, momentum=0.8)
    snapshots.restore(optimizer, 1, delay=0)
    group = optimizer.param_groups[0]
    assert (group["d"], group["k"], group["lr"], group["momentum"]) == (1e-6, 3, 0.2, 0.8)


def test_memory_is_used_again():
    model = nn.Linear(100, 100)
    optimizer = torch.optim.Adam(model.parameters())
    trained_once = model(torch.ones(1, 100)).sum()
    trained_once.backward()
    optimizer.step()
    snapshots = Snapshots(model, "memory")
    for update in range(2):
        snapshots.take(optimizer, update)
    size = snapshots.size
    assert size == 2 * (3 * 4 * 10_100 + 8)
    kept = {copy.data_ptr() for snapshot in snapshots._kept for copy in snapshot.copies}
    for update in range(2, 6):
        snapshots.take(optimizer, update)
    assert kept == {copy.data_ptr() for snapshot in snapshots._kept for copy in snapshot.copies}
    assert snapshots.size == size
    assert "4, 5" in repr(snapshots)


def test_nothing_to_put_back_is_said():
    model = nn.Linear(2, 1)
    with pytest.warns(NotRestoredWarning, match=facts("no snapshot", 7)):
        assert Snapshots(model, "memory").restore(torch.optim.SGD(model.parameters(), 0.1), 7, delay=0) is None


def test_ctrl_c_waits_until_all_is_back():
    class Interrupted(torch.amp.GradScaler):
        """Ctrl-C comes while its state is put back, which is before the weights."""

        def load_state_dict(self, state):
            signal.raise_signal(signal.SIGINT)

    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    snapshots = Snapshots(model, "memory", Interrupted("cpu"))
    snapshots.take(optimizer, 0)
    weight = model.weight.detach().clone()
    with torch.no_grad():
        model.weight.fill_(9.0)
    with pytest.raises(KeyboardInterrupt):
        snapshots.restore(optimizer, 1, delay=0)
    assert torch.equal(model.weight, weight)


def test_a_rollback_between_forward_and_backward_breaks_nothing():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    snapshots = Snapshots(model, "memory")
    snapshots.take(optimizer, 0)
    loss = model(torch.ones(1, 2)).sum()
    snapshots.restore(optimizer, 1, delay=0)
    loss.backward()
