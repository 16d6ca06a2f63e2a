"""Objects that are neither plain data nor have a state are not given back, and a warning names those that were changed."""

import array
import itertools
import queue
import threading
import time
import warnings
from collections import Counter, OrderedDict, defaultdict, deque

import pytest
import torch
from torch import nn

import learnrate as lr
from facts import facts
from learnrate.errors import NotRestoredWarning


class Plain:
    def __init__(self):
        self.count = 0

    def change(self):
        self.count += 1


class Nested(Plain):
    """An object in an object."""

    def __init__(self):
        super().__init__()
        self.inner = Plain()

    def change(self):
        self.inner.change()


class Locked(Plain):
    """Has something that cannot be copied."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


class Slotted:
    __slots__ = ("count", "inner")

    def __init__(self):
        self.count, self.inner = 0, Plain()

    def change(self):
        self.count += 1


class Stateful(Locked):
    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


class Average(Locked):
    """Keeps a tensor in an object that is not copied."""

    def __init__(self):
        super().__init__()
        self.mean = torch.zeros(2)

    def change(self):
        self.mean += 1


NAMED = {
    "an object in an object": (Nested, Nested.change, "inner.count"),
    "an object with a lock": (Locked, Locked.change, "count"),
    "slots": (Slotted, Slotted.change, "count"),
    "a tensor": (Average, Average.change, "mean"),
    "an object in a list": (lambda: [Nested()], lambda value: value[0].change(), "inner.count"),
    "an object in a mapping": (lambda: {"a": Locked()}, lambda value: value["a"].change(), "count"),
    "a queue": (queue.Queue, lambda value: value.put(1), "queue"),
    "an array": (lambda: [array.array("i", [0])], lambda value: value[0].append(1), ""),
    "a generator": (lambda: (n for n in range(100)), next, "iterator"),
    "an iterator": (lambda: iter(list(range(100))), next, "iterator"),
    "a count": (itertools.count, next, "iterator"),
}
GIVEN_BACK = {
    "plain data": (Plain, Plain.change, lambda value: value.count),
    "an object with a state": (Stateful, Stateful.change, lambda value: value.count),
    "bytes": (lambda: bytearray(2), lambda value: value.append(1), bytes),
}


def counted(value, change):
    """A model that changes a value at every call, and its optimizer."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.helper = nn.Linear(1, 1), value

        def forward(self, inputs):
            change(self.helper)
            return self.layer(inputs)

    model = Model()
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def stepping(value, change):
    """A model, and an optimizer that changes a value at every step."""

    class Changing(torch.optim.SGD):
        def step(self, closure=None):
            change(self.helper)
            return super().step(closure)

    model = nn.Linear(1, 1)
    optimizer = Changing(model.parameters(), lr=0.1)
    optimizer.helper = value
    return model, optimizer


BATCHES = [(torch.ones(2, 1), torch.zeros(2, 1))] * 3


def sweep(model, optimizer, loss):
    lr.torch.range_test(model, optimizer, BATCHES, loss, updates=12)


def use(place, value, change):
    """A range test that changes a value in one of three places."""
    if place == "loss":

        def loss(outputs, targets):
            change(value)
            return (outputs - targets).square().mean()

        model = nn.Linear(1, 1)
        sweep(model, torch.optim.SGD(model.parameters(), lr=0.1), loss)
    else:
        sweep(*(counted if place == "model" else stepping)(value, change), nn.MSELoss())


PLACES = pytest.mark.parametrize("place", ["model", "optimizer", "loss"])


@PLACES
@pytest.mark.parametrize("case", NAMED)
def test_an_object_that_was_changed_and_is_not_given_back_is_named_once(case, place):
    build, change, words = NAMED[case]
    with pytest.warns(NotRestoredWarning, match=facts("value" if place == "loss" else "helper", words)) as caught:
        use(place, build(), change)
    assert len(caught) == 1
    assert caught[0].filename == __file__


@PLACES
@pytest.mark.parametrize("case", NAMED)
def test_what_was_not_changed_is_not_named(case, place):
    build, _, _ = NAMED[case]
    use(place, build(), lambda value: None)


@PLACES
@pytest.mark.parametrize("case", GIVEN_BACK)
def test_what_is_given_back_is_not_named(case, place):
    build, change, read = GIVEN_BACK[case]
    if (case, place) == ("an object with a state", "loss"):
        pytest.skip("it has to be passed in also_keep")
    value = build()
    before = read(value)
    use(place, value, change)
    assert read(value) == before


def test_an_object_with_very_much_data_is_looked_at_in_part():
    value = Locked()
    value.samples = [0] * 10**6
    start = time.perf_counter()
    with pytest.warns(NotRestoredWarning, match="helper.count"):
        use("model", value, Locked.change)
    assert time.perf_counter() - start < 5


def test_a_model_that_only_the_loss_knows_is_named_unless_it_is_kept(toy):
    average = nn.Linear(1, 1)
    helper = Stateful()

    def loss(outputs, targets):
        helper.change()
        with torch.no_grad():
            average.weight += 1
        return nn.functional.cross_entropy(outputs, targets)

    with pytest.warns(NotRestoredWarning, match=facts("average", "weight", "also_keep")):
        lr.torch.range_test(toy.model, toy.optimizer, toy.batches, loss, updates=12, also_keep=[helper])
    before = average.weight.clone()
    with warnings.catch_warnings():
        warnings.simplefilter("error", NotRestoredWarning)
        lr.torch.range_test(toy.model, toy.optimizer, toy.batches, loss, updates=12, also_keep=[average, helper])
    assert torch.equal(average.weight, before)
    assert helper.count == 0


@pytest.mark.parametrize(
    ("container", "change"),
    [
        ([1], lambda c: c.append(2)),
        ({"a": 1}, lambda c: c.update(b=2)),
        (defaultdict(int), lambda c: c["a"]),
        (Counter("a"), lambda c: c.update("ab")),
        (OrderedDict(a=1, b=2), lambda c: c.move_to_end("a")),
        (deque([1], maxlen=2), lambda c: c.extend([2, 3])),
        ({1}, lambda c: c.add(2)),
        (bytearray(3), lambda c: c.pop()),
    ],
)
def test_a_container_that_is_passed_keeps_its_entries(toy, container, change):
    before = type(container)(container) if not isinstance(container, (defaultdict, deque)) else container.copy()
    with lr.torch.preserve(toy.model, toy.optimizer, container):
        change(container)
        assert container != before or list(container) != list(before)
    assert container == before
    assert list(container) == list(before)
