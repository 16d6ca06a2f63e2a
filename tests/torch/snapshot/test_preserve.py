"""Exact give-back: byte for byte after a normal end, an exception, and an interrupt."""

import copy
import itertools
import random
from contextlib import nullcontext

import numpy as np
import pytest
import torch

import learnrate as lr

ENDS = [None, RuntimeError, KeyboardInterrupt, MemoryError]


def fingerprint(toy):
    """Everything that training changes, as bytes and plain values."""

    def plain(value):
        if isinstance(value, torch.Tensor):
            return value.dtype, tuple(value.shape), value.detach().numpy().tobytes()
        if isinstance(value, dict):
            return {key: plain(entry) for key, entry in value.items()}
        return copy.deepcopy(value)

    parameters = list(toy.model.parameters())
    generator = getattr(toy.batches, "generator", None)
    return {
        "model": plain(dict(toy.model.state_dict())),
        "identity": [id(t) for t in (*parameters, *toy.model.buffers())],
        "gradients": [None if p.grad is None else plain(p.grad) for p in parameters],
        "gradient identity": [id(p.grad) for p in parameters if p.grad is not None],
        "optimizer": [plain(toy.optimizer.state[p]) if p in toy.optimizer.state else None for p in parameters],
        "groups": [{k: plain(v) for k, v in group.items() if k != "params"} for group in toy.optimizer.param_groups],
        "members": [[id(p) for p in group["params"]] for group in toy.optimizer.param_groups],
        "modes": [module.training for module in toy.model.modules()],
        "python": random.getstate(),
        "numpy": [plain(part) if not isinstance(part, np.ndarray) else part.tobytes() for part in np.random.get_state()],
        "torch": plain(torch.get_rng_state()),
        "generator": None if generator is None else plain(generator.get_state()),
    }


OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=1e-3),
    "AdamW with a tensor LR": lambda p: torch.optim.AdamW(p, lr=torch.tensor(1e-3), capturable=False, foreach=False),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=1e-3, centered=True),
}


@pytest.fixture(params=list(OPTIMIZERS))
def toy(request, new_toy):
    toy = new_toy()
    toy.optimizer = OPTIMIZERS[request.param](toy.model.parameters())
    toy.model[3].eval()  # dropout in eval mode
    toy.batches.generator = torch.Generator().manual_seed(3)
    return toy


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("warm", [False, True])
def test_preserve_gives_everything_back(toy, warm, end):
    if warm:
        toy.train(5)
    before = fingerprint(toy)

    def disturb():
        with lr.torch.preserve(toy.model, toy.optimizer, toy.batches):
            toy.model.train()
            toy.train(10)
            random.random(), np.random.rand(), torch.rand(1)
            toy.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))]})
            toy.model.eval()
            toy.optimizer.param_groups[0]["weight_decay"] = 0.5
            if end is not None:
                raise end

    with pytest.raises(end) if end else nullcontext():
        disturb()
    assert fingerprint(toy) == before


@pytest.mark.shows("torch", "range test")
@pytest.mark.filterwarnings("ignore:.*iterator cannot be rewound")
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("what", ["range_test", "tune"])
def test_range_test_and_tune_give_everything_back(toy, what, end):
    toy.train(3)
    before = fingerprint(toy)
    calls = itertools.count(1)  # an iterator, because a nonlocal number would be put back between trials

    def loss(model, batch):
        if next(calls) == 60 and end is not None:
            raise end
        random.random(), np.random.rand()
        return toy.loss(model(batch[0]), batch[1])

    def run():
        if what == "range_test":
            return lr.torch.range_test(toy.model, toy.optimizer, toy.batches, loss)
        return lr.torch.tune(toy.model, toy.optimizer, toy.batches, loss, updates=300, evaluate=toy.accuracy)

    if end is None:
        run()
    elif what == "range_test" and end is KeyboardInterrupt:
        curve = run()
        assert curve.ended == "interrupted"
        assert len(curve) == 59
    else:
        with pytest.raises(end):
            run()
    assert fingerprint(toy) == before


def test_training_after_a_range_test_is_the_same_as_without_one(new_toy):
    plain, tested = new_toy(), new_toy()
    torch.manual_seed(5)
    plain.train(20)
    torch.manual_seed(5)
    lr.torch.range_test(tested.model, tested.optimizer, tested.batches, tested.loss)
    tested.train(20)
    for name, value in plain.model.state_dict().items():
        assert torch.equal(value, tested.model.state_dict()[name]), name


def test_a_replaced_buffer_is_put_back():
    class Counting(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))
            self.register_buffer("count", torch.zeros(1), persistent=False)

        def forward(self, inputs):
            self.count = self.count + 1
            return self.weight * inputs

    model = Counting()
    before = model.count
    with lr.torch.preserve(model, torch.optim.SGD(model.parameters())):
        model(torch.ones(1))
        assert model.count.item() == 1
    assert model.count is before
    assert before.item() == 0


def test_a_new_buffer_is_removed_and_a_criterion_is_given_back(new_toy):
    class Criterion(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(1))
            self.norm = torch.nn.BatchNorm1d(2)
            self.register_buffer("last", None)

        def forward(self, outputs, targets):
            self.last = outputs.detach()
            return torch.nn.functional.cross_entropy(self.norm(outputs) * self.scale, targets)

    toy, criterion = new_toy(), Criterion()
    before = {name: value.clone() for name, value in criterion.state_dict().items()}
    lr.torch.range_test(toy.model, toy.optimizer, toy.batches, criterion)
    assert criterion.last is None
    assert criterion.scale.grad is None
    assert criterion.state_dict().keys() == before.keys()
    for name, value in criterion.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_rest_is_put_back_if_one_part_fails(new_toy):
    class ReadOnly(torch.nn.ReLU):
        frozen = False

        def __setattr__(self, name, value):
            if name == "training" and ReadOnly.frozen:
                raise RuntimeError("read only")
            super().__setattr__(name, value)

    toy = new_toy()
    toy.model[2] = ReadOnly()
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="read only"), lr.torch.preserve(toy.model, toy.optimizer):  # noqa: PT012
        toy.train(2)
        ReadOnly.frozen = True
    assert torch.equal(torch.get_rng_state(), before)
    assert not toy.optimizer.state


def test_tensors_with_a_new_shape_and_expanded_tensors_are_put_back(new_toy):
    toy = new_toy()
    before = toy.model[0].weight.detach().clone()
    toy.model.register_buffer("mask", torch.ones(1).expand(4))
    with lr.torch.preserve(toy.model, toy.optimizer):
        toy.model[0].weight.data = torch.zeros(3, 3)
        toy.model.mask = torch.zeros(4)
    assert torch.equal(toy.model[0].weight, before)
    assert torch.equal(toy.model.mask, torch.ones(4))


def test_everything_is_put_back_through_an_interrupt(new_toy):
    class Interrupting(torch.nn.Linear):
        """Raises KeyboardInterrupt, once, when its mode is put back."""

        interrupts = 0

        def __setattr__(self, name, value):
            super().__setattr__(name, value)
            if name == "training" and Interrupting.interrupts:
                Interrupting.interrupts -= 1
                raise KeyboardInterrupt

    toy = new_toy()
    toy.model[4] = Interrupting(16, 2)
    toy.optimizer = torch.optim.AdamW(toy.model.parameters())
    toy.model[0].eval()
    before = fingerprint(toy)
    with pytest.raises(KeyboardInterrupt), lr.torch.preserve(toy.model, toy.optimizer):  # noqa: PT012
        toy.model.train()
        toy.train(3)
        Interrupting.interrupts = 1
    assert fingerprint(toy) == before


def test_new_optimizer_state_and_gradients_are_removed(new_toy):
    toy = new_toy()
    with lr.torch.preserve(toy.model, toy.optimizer):
        toy.train(2)
        assert toy.optimizer.state
    assert not toy.optimizer.state
    assert all(p.grad is None for p in toy.model.parameters())


@pytest.mark.parametrize(("model", "optimizer"), [("net", None), (torch.nn.Linear(1, 1), "sgd")])
def test_wrong_arguments_are_refused(model, optimizer):
    with pytest.raises(TypeError, match=r"model|optimizer"), lr.torch.preserve(model, optimizer):
        pass


def test_the_gradient_mode_is_given_back(toy):
    with lr.torch.preserve(toy.model, toy.optimizer):
        torch.set_grad_enabled(False)
    assert torch.is_grad_enabled()
