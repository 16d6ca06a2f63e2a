"""Trainings that stop at some update and go on in another process: every later loss and the weights are equal, bit for bit."""

import json
import pickle
import random

import numpy as np
import pytest
import torch
from tests.torch.training import resuming
from tests.torch.training.resuming import CASES, UPDATES, data, losses_of, plain

from facts import facts
from learnrate import replay
from learnrate.torch.training import TorchTrainable
from learnrate.trainable import NotResumableError


@pytest.fixture(scope="module")
def outcomes(commands, tmp_path_factory):
    """What a training without checkpoints, one with a checkpoint before every update, and one in a new process gave."""
    folder, draw = tmp_path_factory.mktemp("resuming"), random.Random(18)
    here = {}
    for name, build in CASES.items():
        undisturbed, stop = build(), draw.randrange(1, UPDATES)
        losses = losses_of(undisturbed, 0)
        state, other_losses, trainable = random.getstate(), [], build()
        for update in range(UPDATES):
            checkpoint = trainable.checkpoint()
            if update == stop:
                (folder / f"{name}.pickle").write_bytes(pickle.dumps((update, checkpoint)))
            other_losses += losses_of(trainable, update, update + 1)
        random.setstate(state)
        here[name] = (stop, losses, other_losses, undisturbed.fingerprint(), trainable.fingerprint(), undisturbed.notes(100))
    result = commands.run(folder, folder=folder, script=resuming.__file__)
    assert result.returncode == 0, result.stderr
    return here, json.loads(result.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_checkpoint_before_every_update_changes_nothing(outcomes, name):
    _, losses, with_checkpoints, fingerprint, other_fingerprint, _ = outcomes[0][name]
    assert with_checkpoints == losses
    assert other_fingerprint == fingerprint
    assert len(set(losses)) > UPDATES // 2


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_training_goes_on_in_another_process_as_if_nothing_had_happened(outcomes, name):
    stop, losses, _, fingerprint, _, notes = outcomes[0][name]
    resumed, fingerprint_there, of_the_second, notes_there = outcomes[1][name]
    assert resumed == losses[stop:]
    assert fingerprint_there == of_the_second == fingerprint
    assert notes_there == notes


def with_batches(batches, model=plain, loss=torch.nn.CrossEntropyLoss):
    net = model()
    return TorchTrainable(net, torch.optim.SGD(net.parameters(), lr=0.1), batches, loss())


def unseeded():
    generator = np.random.default_rng()
    while True:
        yield tuple(part[torch.from_numpy(generator.integers(0, 80, 16))] for part in data())


def shrinking():
    """Batches that are fewer each time a process starts."""
    shrinking.length -= 2
    return iter([data()] * shrinking.length)


shrinking.length = 9


def test_data_that_depend_on_something_else_are_noticed():
    for batches, words in ((lambda: unseeded(), ("not the same", "seed", "state_dict")), (shrinking, ("ended after 5",))):
        trainable = with_batches(batches)
        trainable.checkpoint()
        losses_of(trainable, 0, 6)
        checkpoint = trainable.checkpoint()
        with pytest.raises(NotResumableError, match=facts(*words)):
            with_batches(batches).resume(checkpoint)


def test_what_cannot_be_resumed_says_why(monkeypatch):
    once = with_batches(iter([data()] * 3))
    with pytest.raises(NotResumableError, match=facts("iterator", "started again")):
        once.checkpoint()
    late = with_batches([data()])
    late.update(0.1)
    with pytest.raises(NotResumableError, match=facts("checkpoint()", "before the first update")):
        late.checkpoint()
    checkpoint = with_batches([data()]).checkpoint()
    with pytest.raises(ValueError, match=facts("before the first update")):
        late.resume(checkpoint)
    with pytest.raises(NotResumableError, match=facts("another model", "model.0.weight", "(4, 6)", "(8, 6)")):
        with_batches([data()], lambda: plain(4)).resume(checkpoint)
    with pytest.raises(TypeError, match=facts("checkpoint", "dict")):
        with_batches([data()]).resume({})
    monkeypatch.setattr(replay, "ROOM", 10_000)
    greedy = with_batches(lambda: (tuple(part[torch.randint(80, (16,))] for part in data()) for _ in iter(int, 1)))
    greedy.checkpoint()
    losses_of(greedy, 0, 4)
    with pytest.raises(NotResumableError, match=facts("random numbers", "state_dict")):
        greedy.checkpoint()


def test_a_large_tensor_that_a_function_changes_is_refused_by_its_name():
    large = torch.zeros(2**19)

    def loss(model, batch):
        large.add_(1.0)
        return torch.nn.functional.cross_entropy(model(batch[0]), batch[1])

    trainable = with_batches([data()], loss=lambda: loss)
    trainable.checkpoint()
    trainable.update(0.1)
    with pytest.raises(NotResumableError, match=facts("large", "2 MiB", "buffer")):
        trainable.checkpoint()


def test_a_fingerprint_shows_each_change_of_the_weights():
    torch.manual_seed(0)
    trainable, other = with_batches([data()]), with_batches([data()])
    before = trainable.fingerprint()
    assert before == trainable.fingerprint() != other.fingerprint()
    assert len(before) == 16
    trainable.update(0.0)
    assert trainable.fingerprint() == before
    trainable.update(0.1)
    assert trainable.fingerprint() != before
