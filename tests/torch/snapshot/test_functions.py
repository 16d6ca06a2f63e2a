"""State that a function keeps in itself is given back: attributes, nonlocal variables, default arguments, callable objects."""

import functools
import random
import warnings
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

import learnrate as lr
from facts import facts
from learnrate.errors import NotRestoredWarning

LARGE = 2**18 + 1  # float32 elements of a tensor that is just larger than 1 MiB


def plain(value):
    """The content of a value, without identities."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    return value.tolist() if isinstance(value, np.ndarray) else repr(value)


class Callable:
    """A loss with a running mean."""

    def __init__(self, mean):
        self.mean = mean
        self.calls = 0

    def __call__(self):
        self.calls += 1
        if isinstance(self.mean, list):
            self.mean.append(0.5)
        else:
            self.mean *= 0.9  # in place, if it is a tensor or an array
            self.mean += 0.1
        self.extra = 1

    def observe(self):
        return self.calls, plain(self.mean), hasattr(self, "extra")

    def method(self):
        self()


class Slotted:
    __slots__ = ("__private", "count", "unset")

    def __init__(self):
        self.count = 0
        self.__private = [1]

    def __call__(self):
        self.count += 1
        self.unset = 2
        self.__private.append(2)

    def observe(self):
        return self.count, list(self.__private), hasattr(self, "unset")


@dataclass
class Average:
    """A record that many training scripts keep beside their loss."""

    total: float = 0.0
    count: int = 0


def as_callable(mean):
    loss = Callable(mean)
    return loss, loss.observe


def as_method():
    loss = Callable(0.0)
    return loss.method, loss.observe


def as_trainer():
    class Trainer:
        def __init__(self):
            self.model, self.file, self.mean = torch.nn.Linear(1, 1), object(), 0.0

        def loss(self):
            self.mean += 1

    trainer = Trainer()
    return trainer.loss, lambda: trainer.mean


def as_slots():
    loss = Slotted()
    return loss, loss.observe


def as_closure():
    count, late = 0, None
    del late

    def loss():
        nonlocal count, late
        count += 1
        late = 2

    def observe():
        return count, "late" in {
            k for k, cell in zip(loss.__code__.co_freevars, loss.__closure__, strict=True) if filled(cell)
        }

    return loss, observe


def filled(cell):
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def as_attribute():
    def loss():
        loss.calls += 1
        loss.new = 1

    loss.calls = 0
    return loss, lambda: (loss.calls, hasattr(loss, "new"))


def as_default():
    def loss(losses=[], *, history={}):  # noqa: B006
        losses.append(1.0)
        history[len(losses)] = 1.0

    return loss, lambda: repr((loss.__defaults__, loss.__kwdefaults__))


def as_partial():
    history, mean = [], Callable(0.0)

    def loss(mean, history):
        mean()
        history.append(1)

    return functools.partial(functools.partial(loss, mean), history=history), lambda: (history.copy(), *mean.observe())


def as_decorated():
    counts = {"calls": 0}

    @torch.no_grad()
    def evaluate():
        counts["calls"] += 1
        evaluate.calls = 1

    return evaluate, lambda: (dict(counts), hasattr(evaluate, "calls"))


def as_record():
    average = Average()

    def loss():
        average.total += 0.5
        average.count += 1

    return loss, lambda: (average.total, average.count)


def as_containers():
    inner = torch.zeros(2)
    state = {"a": ([inner], {3}), "b": {"c": np.zeros(2)}}
    state["itself"] = state

    def loss():
        inner.add_(1)
        state["a"][1].add(4)
        state["b"]["c"][0] = 1
        state["b"]["new"] = 1
        del state["itself"]

    return loss, lambda: (plain(inner), set(state["a"][1]), plain(state["b"]["c"]), "new" in state["b"], "itself" in state)


def as_cycle():
    class Node:
        def __init__(self):
            self.itself, self.count = self, 0

        def __call__(self):
            self.itself.count += 1

    node = Node()
    return node, lambda: node.count


def as_gradient():
    scale = torch.ones(1, requires_grad=True)

    def loss():
        (scale * 2).sum().backward()

    return loss, lambda: plain(scale.grad)


def with_generator(generator, draw):
    """A loss that draws random numbers; what is observed is the state of the generator."""

    def loss():
        return draw(generator)

    def observe():
        if isinstance(generator, torch.Generator):
            return generator.get_state().tolist()
        return repr(generator.getstate() if isinstance(generator, random.Random) else generator.bit_generator.state)

    return loss, observe


CASES = {
    "float": lambda: as_callable(0.0),
    "list": lambda: as_callable([]),
    "tensor": lambda: as_callable(torch.zeros(3)),
    "array": lambda: as_callable(np.zeros(3)),
    "slots": as_slots,
    "bound method": as_method,
    "bound method of a trainer": as_trainer,
    "closure": as_closure,
    "attribute": as_attribute,
    "default": as_default,
    "partial": as_partial,
    "decorated": as_decorated,
    "record": as_record,
    "containers": as_containers,
    "cycle": as_cycle,
    "gradient": as_gradient,
    "torch generator": lambda: with_generator(torch.Generator().manual_seed(1), lambda g: torch.rand(1, generator=g)),
    "numpy generator": lambda: with_generator(np.random.default_rng(1), lambda g: g.random()),
    "python generator": lambda: with_generator(random.Random(1), lambda g: g.random()),
}


@pytest.mark.parametrize("end", [None, RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("case", CASES)
def test_the_state_of_a_function_is_given_back(toy, case, end):
    function, observe = CASES[case]()
    before = observe()

    def disturb():
        with lr.torch.preserve(toy.model, toy.optimizer, function):
            function()
            assert observe() != before
            if end is not None:
                raise end

    with pytest.raises(end) if end else nullcontext():
        disturb()
    assert observe() == before


def test_a_snapshot_can_be_put_back_repeatedly(toy):
    function, observe = CASES["containers"]()
    before = observe()
    snapshot = lr.torch.snapshot.Snapshot(toy.model, toy.optimizer, function, copy_to="disk")
    for _ in range(3):
        function()
        snapshot.restore()
        assert observe() == before


def test_nothing_is_written_to_if_nothing_changed(toy):
    class Watched(dict):
        writes = 0

        def clear(self):
            Watched.writes += 1
            super().clear()

    tensor, array, table = torch.full((3,), float("nan")), np.zeros(3), Watched(a=1)
    array.flags.writeable = False

    def loss():
        return tensor, array, table

    version = tensor._version
    with lr.torch.preserve(toy.model, toy.optimizer, loss):
        loss()
    assert tensor._version == version
    assert Watched.writes == 0


@pytest.mark.parametrize("make", [torch.zeros, lambda n: np.zeros(n, dtype=np.float32)], ids=["tensor", "array"])
def test_a_large_captured_tensor_is_not_copied_and_is_named_if_it_was_written_to(toy, make):
    data = make(LARGE)

    def loss():
        return float(data[0])

    def spoil():
        data[:] = 1

    assert data.nbytes > 2**20
    with lr.torch.preserve(toy.model, toy.optimizer) as without:
        pass
    with warnings.catch_warnings(), lr.torch.preserve(toy.model, toy.optimizer, loss) as preserved:
        warnings.simplefilter("error")
        loss()
    assert preserved.size == without.size
    with (
        pytest.warns(NotRestoredWarning, match="data in .*loss") as caught,
        lr.torch.preserve(toy.model, toy.optimizer, loss),
    ):
        spoil()
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert data[0] == 1


class Unprintable:
    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize("key", ["k" * 5000, Unprintable()], ids=["long", "no repr"])
def test_a_warning_shows_a_key_in_bounded_length(toy, key):
    state = {key: {"inner" * 1000: torch.zeros(LARGE)}}

    def loss():
        return state

    with (
        pytest.warns(NotRestoredWarning, match="state in .*loss") as caught,
        lr.torch.preserve(toy.model, toy.optimizer, loss),
    ):
        next(iter(state[key].values())).add_(1)
    assert len(str(caught[0].message)) < 600


def test_a_snapshot_that_is_put_back_repeatedly_warns_once(toy):
    data = torch.zeros(LARGE)
    snapshot = lr.torch.snapshot.Snapshot(toy.model, toy.optimizer, lambda: data)
    with pytest.warns(NotRestoredWarning) as caught:  # noqa: PT031
        for _ in range(3):
            data.add_(1)
            snapshot.restore()
    assert len(caught) == 1


@pytest.mark.parametrize(("limit", "value"), [("TOTAL", 100), ("MOST", 2)])
def test_a_long_list_of_small_tensors_is_copied_up_to_a_limit(toy, monkeypatch, limit, value):
    monkeypatch.setattr(lr.torch.snapshot.functions, limit, value)
    batches = [torch.zeros(10) for _ in range(1000)]
    with lr.torch.preserve(toy.model, toy.optimizer) as without:
        pass
    with lr.torch.preserve(toy.model, toy.optimizer, lambda: batches) as preserved:
        pass
    assert without.size < preserved.size <= without.size + 100


def test_tensors_that_are_restored_by_another_part_give_no_warning(toy):
    model = torch.nn.Linear(LARGE, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    weights, detached = list(model.parameters()), model.weight.detach()

    def loss():
        return weights, detached, model, optimizer

    with lr.torch.preserve(model, optimizer, loss) as preserved:
        model(torch.ones(1, LARGE)).sum().backward()
        optimizer.step()
    assert preserved.size == sum(weight.nbytes for weight in weights)


def test_models_data_and_iterators_inside_a_function_are_not_restored(toy):
    other, stream = torch.nn.Linear(1, 1), iter([1, 2, 3])

    def loss():
        other.weight.data.fill_(7)
        return next(stream)

    with (
        pytest.warns(NotRestoredWarning, match=facts("stream", "iterator")),
        lr.torch.preserve(toy.model, toy.optimizer, loss),
    ):
        loss()
    assert other.weight.item() == 7
    assert next(stream) == 2


def test_trials_with_a_loss_that_keeps_a_running_mean_are_repeatable(toy):
    """A range test hands its loss function to the snapshot, through also_keep here."""
    mean = 0.0

    def loss(model, batch):
        nonlocal mean
        value = toy.loss(model(batch[0]), batch[1])
        mean = 0.9 * mean + 0.1 * value.item()
        return value / (1 + mean)

    data = list(toy.batches)
    first = lr.torch.range_test(toy.model, toy.optimizer, data, loss, also_keep=[loss], seed=1)
    assert mean == 0.0
    assert lr.torch.range_test(toy.model, toy.optimizer, data, loss, also_keep=[loss], seed=1) == first


def test_framework_functions_and_classes_have_no_state(toy):
    with lr.torch.preserve(toy.model, toy.optimizer, torch.nn.functional.max_pool2d, len, Average, np.add) as preserved:
        pass
    assert preserved.where in ("device", "cpu", "disk")


class Counting(nn.Module):
    """A model with state beside parameters and buffers."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.calls, self.history, self.largest = 0, [], torch.zeros(())

    def forward(self, inputs):
        outputs = self.layer(inputs)
        self.calls += 1
        self.history.append(self.calls)
        self.largest.clamp_(min=float(outputs.detach().max()))
        self.last_outputs = outputs.detach()
        return outputs


def test_plain_attributes_of_modules_are_put_back():
    model, criterion = Counting(), nn.Sequential(Counting())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    history, largest = model.history, model.largest
    model(torch.ones(1, 3))
    del model.last_outputs
    before = float(largest)
    with lr.torch.preserve(model, optimizer, criterion):
        for scale in (10.0, 100.0):
            model(scale * torch.ones(1, 3))
            criterion(scale * torch.ones(1, 3))
        model.history = [0]
    assert (model.calls, model.history) == (1, [1])
    assert model.history is history
    assert model.largest is largest
    assert float(largest) == before
    assert not hasattr(model, "last_outputs")
    assert (criterion[0].calls, criterion[0].history) == (0, [])


def test_trials_start_with_the_same_counters(toy):
    class Annealed(nn.Module):
        """A criterion whose weight depends on the number of its calls."""

        calls = 0

        def forward(self, outputs, targets):
            self.calls += 1
            return nn.functional.cross_entropy(outputs, targets) * (1 + 1 / self.calls)

    criterion = Annealed()
    plan = lr.torch.tune(toy.model, toy.optimizer, toy.batches, criterion, updates=300)
    assert "calls" not in vars(criterion)
    assert plan.max_lr > 0
