"""What is given back beside model and optimizer: loaders, samplers, generators, objects with a state_dict."""

import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler

import learnrate as lr
from facts import facts
from learnrate.errors import NotRestoredWarning, NotRewoundWarning


class Numbers(Dataset):
    def __len__(self):
        return 64

    def __getitem__(self, index):
        return torch.full((6,), float(index)), index % 2


class Stateful:
    """A loader that saves its position, like those of torchdata."""

    def __init__(self):
        self.position = 0

    def __iter__(self):
        while self.position < 64:
            self.position += 1
            yield torch.randn(4, 6), torch.zeros(4, dtype=torch.long)

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.position = state["position"]


def test_a_stateful_loader_keeps_its_position(toy):
    loader = Stateful()
    iterator = iter(loader)
    next(iterator)
    lr.torch.range_test(toy.model, toy.optimizer, loader, toy.loss, updates=20, stop=None)
    assert loader.position == 1


def test_a_sampler_keeps_its_epoch(toy):
    sampler = DistributedSampler(Numbers(), num_replicas=2, rank=0)
    sampler.set_epoch(5)
    loader = DataLoader(Numbers(), 4, sampler=sampler)
    with lr.torch.preserve(toy.model, toy.optimizer, loader):
        sampler.set_epoch(9)
    assert sampler.epoch == 5


@pytest.mark.slow
def test_persistent_workers_go_on_in_the_middle_of_an_epoch(toy):
    # Spawned, because other tests may have loaded JAX into this process, whose threads do not survive a fork.
    loader = DataLoader(Numbers(), 4, num_workers=1, persistent_workers=True, multiprocessing_context="spawn")
    iterator = iter(loader)
    values = [next(iterator)[0][0, 0].item() for _ in range(2)]
    lr.torch.range_test(toy.model, toy.optimizer, loader, toy.loss, updates=20, stop=None)
    values += [batch[0][0, 0].item() for batch in iterator]
    assert values == [4.0 * n for n in range(16)]


@pytest.mark.parametrize(
    "generator",
    [torch.Generator().manual_seed(3), np.random.default_rng(3), random.Random(3)],
    ids=["torch", "numpy", "python"],
)
def test_generators_are_given_back(toy, generator):
    def draw():
        if isinstance(generator, torch.Generator):
            return torch.rand(1, generator=generator).item()
        return generator.random()

    with lr.torch.preserve(toy.model, toy.optimizer, generator):
        inside = draw()
    assert draw() == inside


def test_an_iterator_is_named_in_a_warning_at_the_users_line(toy):
    with (
        pytest.warns(NotRewoundWarning, match="list_iterator") as caught,
        lr.torch.preserve(toy.model, toy.optimizer, iter([1])),
    ):
        pass
    assert [warning.filename for warning in caught] == [__file__]


def test_an_object_without_state_is_refused(toy):
    with pytest.raises(TypeError, match="received 3"), lr.torch.preserve(toy.model, toy.optimizer, 3):
        pass


@pytest.mark.parametrize("error", [AttributeError, NotImplementedError])
def test_a_loader_whose_state_dict_cannot_be_had_has_no_state(toy, error):
    """As accelerate's loader, which passes on the state_dict of the plain loader that it wraps."""

    class Prepared:
        def __iter__(self):
            return iter(toy.batches)

        def __len__(self):
            return len(toy.batches)

        def state_dict(self):
            raise error("'DataLoader' object has no attribute 'state_dict'")

        load_state_dict = state_dict

    assert len(lr.torch.range_test(toy.model, toy.optimizer, Prepared(), toy.loss, updates=20, high=1e-3)) == 20

    class Broken(Prepared):
        __iter__ = None

    with pytest.raises(error), lr.torch.preserve(toy.model, toy.optimizer, Broken()):
        pass


@pytest.mark.parametrize("state", [lambda: 1 / 0, lambda: {"batches": iter(range(3)), "later": (i for i in range(3))}])
def test_a_loader_whose_state_dict_fails_or_cannot_be_copied_is_named(toy, state):
    class Failing(list):
        def state_dict(self):
            return state()

        def load_state_dict(self, state):
            pass

    batches = Failing(toy.batches)
    with pytest.warns(NotRestoredWarning, match=facts("state_dict", "Failing", "Error")) as caught:
        lr.torch.range_test(toy.model, toy.optimizer, batches, toy.loss, updates=20, high=1e-3)
    assert {warning.filename for warning in caught} == {__file__}


def test_a_loader_whose_state_dict_is_none_is_named(toy):
    class Empty(list):
        def state_dict(self):
            return None

        def load_state_dict(self, state):
            raise TypeError("no state")

    with pytest.warns(NotRestoredWarning, match=facts("state_dict", "Empty", "None")):
        lr.torch.range_test(toy.model, toy.optimizer, Empty(toy.batches), toy.loss, updates=20, high=1e-3)


def test_random_numbers_that_state_dict_draws_are_given_back(toy):
    class Drawing(Stateful):
        def state_dict(self):
            torch.rand(1)
            return super().state_dict()

    before = torch.get_rng_state()
    with lr.torch.preserve(toy.model, toy.optimizer, Drawing()):
        pass
    assert torch.equal(torch.get_rng_state(), before)


def test_tensors_and_legacy_generators_are_given_back(toy):
    tensor, legacy = torch.zeros(3), np.random.RandomState(3)
    with lr.torch.preserve(toy.model, toy.optimizer, tensor, legacy):
        tensor.add_(1)
        inside = legacy.rand()
    assert not tensor.any()
    assert legacy.rand() == inside
