"""Arms as one batch of a torch model, on the CPU."""

import pytest
import torch

import learnrate as lr


def network():
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, 1))


def shuffled():
    inputs = torch.randn(128, 4)
    data = torch.utils.data.TensorDataset(inputs, inputs.sum(1, keepdim=True))
    return torch.utils.data.DataLoader(data, batch_size=16, shuffle=True)


def nearness(model):
    inputs = torch.linspace(-1, 1, 64).reshape(16, 4)
    return -float((model.eval()(inputs) - inputs.sum(1, keepdim=True)).abs().mean())


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)


def notes_of(comparison):
    return [training.notes for arm in comparison for training in arm.trainings]


@pytest.mark.slow
@pytest.mark.shows("torch", "compare")
def test_torch_trainings_as_one_batch_have_the_curves_of_single_ones():
    recipe = lr.torch.Recipe(network, sgd, shuffled, torch.nn.MSELoss(), nearness, updates=40, metric="nearness")
    arms = {f"constant {number}": lr.constant(0.002 * 2**number) for number in range(6)}
    arms |= {"cosine": "cosine(0.05, 0)", "one": "one_cycle(0.05)"}
    together = lr.compare(arms, recipe, seeds=2, evaluate_every=7, batched=True)
    alone = lr.compare(arms, recipe, seeds=2, evaluate_every=7)
    assert all(any("one batch with 7" in note for note in notes) for notes in notes_of(together))
    starts = {(training.seed, training.start, training.first_loss) for arm in alone for training in arm.trainings}
    assert len(starts) == 2  # paired by seed
    for arm in alone:
        for training, single in zip(together[arm.name].trainings, arm.trainings, strict=True):
            assert training.losses == pytest.approx(single.losses, rel=1e-3, abs=1e-4)
            assert training.scores == pytest.approx(single.scores, rel=1e-3, abs=1e-4)
            assert training.start == single.start
            assert training.checkpoints == single.checkpoints
    few = lr.compare(dict(list(arms.items())[:2]), recipe, seeds=1, batched=True)
    assert all(any("hardly train faster" in note for note in notes) for notes in notes_of(few))
