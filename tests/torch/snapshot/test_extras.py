"""State in places of its own is given back: extra state, attributes of modules and optimizers, optimizers in optimizers."""

import copy
import threading
import warnings

import pytest
import torch
from torch import nn

import learnrate as lr
from facts import facts
from learnrate.errors import NotRestoredWarning


class Meter:
    """Neither a container nor plain data, because it has a lock: not visited as an attribute."""

    def __init__(self, value=0.0):
        self.value, self.lock = value, threading.Lock()


class InPlace(nn.Linear):
    """Extra state that lives in an object."""

    def __init__(self):
        super().__init__(6, 2)
        self.meter = Meter()

    def forward(self, inputs):
        self.meter.value += 1.0
        return super().forward(inputs)

    def get_extra_state(self):
        return {"value": self.meter.value, "tensor": torch.tensor([self.meter.value])}

    def set_extra_state(self, state):
        self.meter.value = state["value"]


class Replacing(InPlace):
    def set_extra_state(self, state):
        self.meter = Meter(state["value"])


class Fixed(InPlace):
    set_extra_state = nn.Module.set_extra_state


class NotCopied(InPlace):
    def get_extra_state(self):
        return self.meter


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def train(model, optimizer, updates=2):
    for _ in range(updates):
        optimizer.zero_grad()
        model(torch.ones(4, 6)).square().sum().backward()
        optimizer.step()


@pytest.mark.parametrize("kind", [InPlace, Replacing])
def test_extra_state_is_given_back_as_often_as_it_is_changed(kind):
    model = nn.Sequential(kind(), nn.ReLU())
    optimizer = sgd(model)
    train(model, optimizer)
    for _ in range(2):
        with lr.torch.preserve(model, optimizer):
            train(model, optimizer)
        assert model[0].meter.value == 2.0


@pytest.mark.parametrize(("kind", "reason"), [(Fixed, "set_extra_state"), (NotCopied, "TypeError")])
def test_extra_state_that_cannot_be_given_back_is_named(kind, reason):
    model = kind()
    with pytest.warns(NotRestoredWarning, match=facts(kind.__name__, reason)), lr.torch.preserve(model, sgd(model)):
        train(model, sgd(model))


def test_extra_state_that_has_not_changed_needs_no_warning():
    model = nn.Sequential(nn.Linear(6, 6), Fixed())
    with warnings.catch_warnings(), lr.torch.preserve(model, sgd(model)):
        warnings.simplefilter("error")
        train(model[0], sgd(model))


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("norm", [nn.utils.weight_norm, nn.utils.spectral_norm])
@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("layer", [lambda: nn.Linear(6, 6), lambda: nn.LSTM(6, 6, batch_first=True)])
def test_the_weight_of_the_former_norms_is_given_back(norm, used, layer):
    class First(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = norm(layer(), name)

        def forward(self, inputs):
            outputs = self.layer(inputs)
            return outputs[0] if isinstance(outputs, tuple) else outputs

    name = "weight" if isinstance(layer(), nn.Linear) else "weight_ih_l0"
    model = First()
    optimizer = sgd(model)
    if used:
        train(model, optimizer)
    before = getattr(model.layer, name)
    value, parts = before.detach().clone(), list(getattr(model.layer, "_flat_weights", []))
    with lr.torch.preserve(model, optimizer):
        train(model, optimizer)
    assert getattr(model.layer, name) is before
    assert torch.equal(before, value)
    assert all(a is b for a, b in zip(getattr(model.layer, "_flat_weights", []), parts, strict=True))


def test_numbers_of_torchs_modules_and_objects_of_a_users_module_are_given_back():
    class Noisy(nn.Linear):
        def __init__(self):
            super().__init__(6, 2)
            self.generator = torch.Generator().manual_seed(0)
            self.mean = Mean()

        def forward(self, inputs):
            self.mean.value += 1.0
            return super().forward(inputs) + torch.randn(2, generator=self.generator)

    class Mean:
        value = 0.0

        def __init__(self):
            self.value = 1.0

    model = nn.Sequential(nn.Dropout(0.1), Noisy())
    state = model[1].generator.get_state()
    with lr.torch.preserve(model, sgd(model)):
        train(model, sgd(model))
        model[0].p = 0.5
    assert model[0].p == 0.1
    assert model[1].mean.value == 1.0
    assert torch.equal(model[1].generator.get_state(), state)


class SAM(torch.optim.Optimizer):
    """Another optimizer inside, which shares the groups and has its own state."""

    def __init__(self, parameters):
        super().__init__(parameters, {"lr": 0.1})
        self.base_optimizer = torch.optim.Adam(self.param_groups, lr=0.1)
        self.param_groups = self.base_optimizer.param_groups

    def step(self, closure=None):
        self.base_optimizer.step()


class Lookahead(torch.optim.Optimizer):
    """A counter, slow weights and a scaler in attributes."""

    def __init__(self, parameters):
        self.inner = {"fast": [SAM(parameters)]}
        super().__init__(self.inner["fast"][0].param_groups, {"lr": 0.1})
        self.count = 0
        self.slow = [p.detach().clone() for group in self.param_groups for p in group["params"]]
        self.scaler = torch.amp.GradScaler("cpu", init_scale=4.0)

    def step(self, closure=None):
        self.inner["fast"][0].step()
        self.count += 1
        self.scaler.scale(torch.ones(1))
        self.scaler.update(8.0)
        for slow, p in zip(self.slow, (p for group in self.param_groups for p in group["params"]), strict=True):
            slow.lerp_(p.detach(), 0.5)


class Delegating(torch.optim.Optimizer):
    """All that it has is the inside's, as in accelerate's prepared optimizer."""

    def __init__(self, parameters):
        self.optimizer = torch.optim.Adam(parameters, lr=0.1)

    state = property(lambda self: self.optimizer.state, lambda self, state: setattr(self.optimizer, "state", state))
    param_groups = property(
        lambda self: self.optimizer.param_groups, lambda self, groups: setattr(self.optimizer, "param_groups", groups)
    )

    def zero_grad(self, set_to_none=True):
        self.optimizer.zero_grad()

    def step(self, closure=None):
        self.optimizer.step()


def inside(optimizer):
    """All states, groups and attributes of an optimizer and of those inside it, as plain values."""
    if isinstance(optimizer, torch.optim.Optimizer):
        content = {"state": list(optimizer.state.values()), "groups": optimizer.param_groups}
        content |= {
            k: v for k, v in vars(optimizer).items() if k in ("base_optimizer", "inner", "optimizer", "count", "slow")
        }
        return inside(content) + repr(optimizer.scaler.get_scale() if hasattr(optimizer, "scaler") else None)
    if isinstance(optimizer, dict):
        return repr({key: inside(value) for key, value in optimizer.items()})
    if isinstance(optimizer, (list, tuple)):
        return repr([inside(value) for value in optimizer])
    return repr(optimizer)


@pytest.mark.parametrize("kind", [SAM, Lookahead, Delegating])
@pytest.mark.parametrize("warm", [0, 2])
@pytest.mark.parametrize("where", ["optimizer", "others"])
def test_an_optimizer_inside_an_optimizer_is_given_back(kind, warm, where):
    model = nn.Linear(6, 2)
    optimizer = kind(model.parameters())
    train(model, optimizer, warm)
    before = copy.deepcopy(inside(optimizer))
    given = (optimizer,) if where == "optimizer" else (sgd(model), optimizer)
    with lr.torch.preserve(model, *given) as preserved:
        train(model, optimizer)
        assert inside(optimizer) != before
    assert inside(optimizer) == before
    # Weights, their gradients, two moments with their steps; slow weights and the two numbers of a scaler: no state twice.
    assert preserved.size <= 4 * (14 * 4 + 2 + (14 + 2 if kind is Lookahead else 0))


def test_a_range_test_and_tuning_give_back_an_optimizer_inside_an_optimizer(toy):
    toy.optimizer = SAM(toy.model.parameters())
    toy.train(1)
    before = inside(toy.optimizer)
    toy.range_test(updates=20)
    assert inside(toy.optimizer) == before
    lr.torch.tune(toy.model, toy.optimizer, toy.batches, toy.loss, updates=400, together=False)
    assert inside(toy.optimizer) == before
