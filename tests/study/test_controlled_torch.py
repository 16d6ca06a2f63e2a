"""Controllers in trainings of torch recipes: what a guard puts back, the norm of the gradient, and what goes on."""

import math
import random
from dataclasses import replace

import pytest
import torch

import learnrate as lr
from killed import killed_and_gone_on
from learnrate.control import gradient_size, guard, plateau
from learnrate.study import train

UPDATES = 60
CONTROL = [plateau(patience=12), guard(every=5, recovery=20), gradient_size(smoothing=6, step=0.05, max_factor=2.0)]


class Batches:
    """Other batches in each pass over the data; the first pass has a batch at fault."""

    def __init__(self, bad):
        self.bad = bad

    def __iter__(self):
        for number in range(100):
            inputs = torch.randn(16, 4)
            targets = inputs.sum(1, keepdim=True).tanh()
            yield inputs, targets * (self.bad.get(number, 1.0))


def recipe(bad, **update):
    def network():
        layers = [
            torch.nn.Linear(4, 8),
            torch.nn.BatchNorm1d(8),
            torch.nn.Tanh(),
            torch.nn.Dropout(0.1),
            torch.nn.Linear(8, 1),
        ]
        return torch.nn.Sequential(*layers)

    def error(model):
        x = torch.linspace(-1, 1, 64).reshape(16, 4)
        return -float((model(x) - x.sum(1, keepdim=True).tanh()).square().mean())

    return lr.torch.Recipe(
        network,
        lambda model: torch.optim.Adam(model.parameters(), lr=9.0),
        lambda: Batches(bad),
        torch.nn.MSELoss(),
        error,
        updates=UPDATES,
        metric="negated error",
        **update,
    )


NAN, HIGH = {30: math.nan}, dict.fromkeys((30, 31, 32), 1e4)


def test_an_update_that_is_left_out_leaves_nothing_behind():
    with_bad = train(recipe(NAN).trainable(0, test=True), lr.constant(0.02), 0, UPDATES, control=guard())
    reference = recipe({}).trainable(0, test=True)
    updated = reference.update

    # The reference draws the batch, with its random numbers, and does not train with it.
    def left_out(rate):
        if reference.updates == 30 and not left_out.done:
            left_out.done = True
            kept = reference.snapshot()
            updated(rate)
            reference.put_back(kept)
            reference.updates -= 1
        return updated(rate)

    left_out.done = False
    reference.update = left_out
    without = train(reference, lr.constant(0.02), 0, UPDATES)
    assert with_bad.end == without.end
    assert with_bad.losses == without.losses


def test_a_snapshot_has_buffers_and_the_state_of_the_optimizer_but_no_random_numbers():
    trainable = recipe({}).trainable(0, test=True)
    for _ in range(3):
        trainable.update(0.02)
    kept, before, drawn = trainable.snapshot(), trainable.fingerprint(), trainable.stream.drawn
    steps = [state["step"].clone() for state in trainable.optimizers["0"].state.values()]
    losses = [float(trainable.update(0.5)["loss"]) for _ in range(3)]
    numbers = torch.get_rng_state()
    trainable.put_back(kept)
    assert trainable.fingerprint() == before
    assert [state["step"] for state in trainable.optimizers["0"].state.values()] == steps
    assert torch.equal(torch.get_rng_state(), numbers)
    assert trainable.stream.drawn == drawn + 3
    assert [float(trainable.update(0.5)["loss"]) for _ in range(3)] != losses


@pytest.mark.parametrize("update", [{}, {"clip_norm": 0.01, "accumulate": 2}])
def test_the_norm_of_the_gradient_is_the_one_before_it_is_clipped(update):
    trainable = recipe({}, **update).trainable(0, test=True)
    assert trainable.measure_gradient_norm()
    measured = trainable.update(0.02)["gradient_norm"]
    twin = recipe({}, **update | ({"clip_norm": None} if update else {})).trainable(0, test=True)
    twin.update(0.02)
    gradients = torch.cat([parameter.grad.flatten() for parameter in twin.model.parameters()])
    assert float(measured) == pytest.approx(float(gradients.norm()), rel=1e-5)


def test_where_a_closure_computes_gradients_their_norm_is_not_measured():
    with pytest.raises(lr.errors.ArgumentError, match="gradient_size"):
        train(recipe({}, closure=True).trainable(0, test=True), lr.constant(0.01), 0, 5, control=gradient_size())


@pytest.mark.slow
@pytest.mark.parametrize(("bad", "acted"), [(NAN, "left out"), (HIGH, "rollback")])
def test_a_training_that_is_killed_ends_as_the_run_through(tmp_path, bad, acted):
    def of_seed():
        return recipe(bad).trainable(1, test=True)

    expected = train(of_seed(), lr.constant(0.02), 1, UPDATES, control=CONTROL, evaluate_every=20)
    assert any(acted in note for note in expected.notes)
    assert any("gradient_size" in note for note in expected.notes)
    end = random.Random(3).randrange(34, UPDATES)
    training, updates, _ = killed_and_gone_on(of_seed, end, tmp_path / "file", UPDATES, CONTROL)
    assert updates < 2 * UPDATES - 10
    assert replace(training, seconds=0, times=()) == replace(expected, seconds=0, times=())
