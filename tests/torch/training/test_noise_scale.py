"""The noise scale against gradients of single examples, and that measuring it changes nothing."""

import copy
import itertools
import random

import numpy as np
import pytest
import torch
from torch import nn

from facts import facts
from learnrate.errors import NotMeasuredWarning
from learnrate.torch.training import TorchTrainable, Updater
from learnrate.torch.training.noise_scale import noise_scale


def problem(examples=64, noise=1.0):
    """A small net in double precision, and data of a noisy linear function."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    x = torch.randn(examples, 3, dtype=torch.float64)
    y = x.sum(1, keepdim=True) + noise * torch.randn(examples, 1, dtype=torch.float64)
    return net, x, y


def loss_of(net):
    return lambda batch: ((net(batch[0]) - batch[1]) ** 2).mean()


def of_each_example(net, x, y):
    """The gradient of each example, one after the other."""
    rows = []
    for one_x, one_y in zip(x.split(1), y.split(1), strict=True):
        gradients = torch.autograd.grad(loss_of(net)((one_x, one_y)), list(net.parameters()))
        rows.append(torch.cat([gradient.flatten() for gradient in gradients]).numpy())
    return np.array(rows)


def test_it_is_the_ratio_of_variance_and_products_of_all_pairs_of_half_batches():
    net, x, y = problem()
    batches = list(zip(x.split(16), y.split(16), strict=True))
    halves = of_each_example(net, x, y).reshape(8, 8, -1).mean(axis=1)
    pairs = list(itertools.combinations(halves, 2))
    trace = 8 * np.mean([np.sum((a - b) ** 2) / 2 for a, b in pairs])
    square = np.mean([a @ b for a, b in pairs])
    assert noise_scale(list(net.parameters()), batches, loss_of(net)) == pytest.approx(trace / square, rel=1e-9)


def test_the_papers_two_batch_sizes_give_the_same_for_a_single_batch():
    """McCandlish et al., arXiv 1812.06162, equations A.2 and A.3, with B_small half of B_big."""
    net, x, y = problem(examples=20)
    gradients = of_each_example(net, x, y)
    small, big = 10, 20
    square_small = np.mean([np.sum(half.mean(axis=0) ** 2) for half in (gradients[:10], gradients[10:])])
    square_big = np.sum(gradients.mean(axis=0) ** 2)
    square = (big * square_big - small * square_small) / (big - small)
    trace = (square_small - square_big) / (1 / small - 1 / big)
    assert noise_scale(list(net.parameters()), [(x, y)], loss_of(net)) == pytest.approx(trace / square, rel=1e-9)


def test_over_many_batches_it_is_that_of_the_data():
    net, x, y = problem(examples=500)
    gradients = of_each_example(net, x, y)
    mean = gradients.mean(axis=0)
    expected = np.sum((gradients - mean) ** 2) / len(x) / (mean @ mean)
    draw = torch.Generator().manual_seed(0)
    rows = (torch.randint(500, (12,), generator=draw) for _ in range(400))
    batches = ((x[row], y[row]) for row in rows)
    measured = noise_scale(list(net.parameters()), batches, loss_of(net))
    assert measured == pytest.approx(expected, rel=0.1)
    assert 1 < expected < 400 * 12


def test_a_factor_on_the_loss_does_not_matter():
    net, x, y = problem()
    batches = list(zip(x.split(16), y.split(16), strict=True))
    plain, scaled = (
        noise_scale(list(net.parameters()), batches, lambda batch, factor=factor: factor * loss_of(net)(batch))
        for factor in (1.0, 1000.0)
    )
    assert scaled == pytest.approx(plain, rel=1e-9)


def test_it_is_at_most_the_number_of_examples():
    weight = nn.Parameter(torch.zeros(1))
    batches = [torch.tensor([1.0, -1.0, -1.0, 1.0]), torch.tensor([-1.0, 1.0, 1.0, -1.0])]
    assert noise_scale([weight], batches, lambda batch: (weight * batch * torch.arange(4)[: len(batch)]).sum()) == 8.0


def test_the_last_smaller_batch_and_an_odd_example_are_left_out():
    net, x, y = problem()
    parameters = list(net.parameters())
    whole = [(x[:16], y[:16]), (x[16:32], y[16:32])]
    odd = [(x[:17], y[:17]), (x[16:33], y[16:33]), (x[33:38], y[33:38])]
    assert noise_scale(parameters, odd, loss_of(net)) == noise_scale(parameters, whole, loss_of(net))


@pytest.mark.parametrize(
    "batch",
    [
        (torch.ones(4, 3), ["a", "b", "c", "d"]),
        (torch.ones(4, 3), torch.ones(2)),
        (torch.ones(4, 3), torch.tensor(1.0)),
        (torch.ones(1, 3), torch.ones(1)),
        {"x": torch.ones(4, 3), "longest": 3},
        (),
    ],
)
def test_what_cannot_be_halved_has_no_noise_scale(batch):
    weight = nn.Parameter(torch.ones(1))
    assert noise_scale([weight], [batch, batch], lambda batch: weight.sum()) is None


@pytest.mark.parametrize("factor", [0.0, float("nan"), float("inf")])
def test_gradients_without_a_size_have_no_noise_scale(factor):
    weight = nn.Parameter(torch.ones(1))
    assert noise_scale([weight], [torch.ones(4)] * 3, lambda batch: factor * (weight * batch).sum()) is None


def trainable_of(toy, **options):
    arguments = {"batches": toy.batches, "loss": toy.loss, **options}
    return TorchTrainable(toy.model, toy.optimizer, arguments.pop("batches"), arguments.pop("loss"), **arguments)


def everything(toy):
    """All that a measurement might change, in bytes where it has them."""
    return {
        "tensors": [tensor.clone() for tensor in toy.model.state_dict().values()],
        "gradients": [None if p.grad is None else p.grad.clone() for p in toy.model.parameters()],
        "optimizer": copy.deepcopy(toy.optimizer.state_dict()),
        "modes": [module.training for module in toy.model.modules()],
        "random": [torch.get_rng_state(), torch.tensor(np.random.get_state()[1].astype(np.int64)), random.getstate()],
    }


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.parametrize("training", [True, False])
def test_nothing_changes(toy, training):
    toy.train(3)  # with gradients and a state of the optimizer
    toy.model.train(training)
    trainable = trainable_of(toy)
    before = everything(toy)
    measured = trainable.noise_scale()
    assert 0 < measured < 10 * 16
    assert same(everything(toy), before)


def test_nothing_changes_when_a_loss_cannot_take_half_a_batch_which_is_said(toy):
    def stubborn(model, batch):
        return nn.functional.cross_entropy(model(batch[0]).view(16, 2), batch[1])

    trainable = trainable_of(toy, loss=stubborn)
    before = everything(toy)
    with pytest.warns(NotMeasuredWarning, match=facts("noise scale", "test_noise_scale.py", "view(16, 2)")):
        assert trainable.noise_scale() is None
    assert same(everything(toy), before)
    assert trainable.batch_size() == 16


def test_accumulated_micro_batches_and_a_scaler_measure_the_same_batches(toy):
    toy.model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
    toy.optimizer = torch.optim.SGD(toy.model.parameters(), lr=0.1)
    batches = list(zip(toy.inputs.split(16), toy.targets.split(16), strict=True))
    plain = trainable_of(toy, batches=batches)
    scaled = trainable_of(
        toy, batches=batches, updater=Updater(accumulate=4, scaler=torch.amp.GradScaler("cpu", init_scale=2.0**10))
    )
    assert scaled.noise_scale(2) == pytest.approx(plain.noise_scale(8), rel=1e-4)
    assert (plain.batch_size(), scaled.batch_size()) == (16, 64)


def test_a_batch_size_is_known_after_the_first_update(toy):
    trainable = trainable_of(toy)
    assert trainable.batch_size() is None
    trainable.update(0.1)
    assert trainable.batch_size() == 16
    nameless = trainable_of(toy, batches=[[[toy.inputs], ["a"]]], loss=lambda model, batch: model(batch[0][0]).sum())
    nameless.update(0.01)
    assert nameless.batch_size() is None


def test_several_losses_and_iterators_have_no_noise_scale(toy):
    assert trainable_of(toy, batches=iter(toy.batches)).noise_scale() is None
    parts = {"first": toy.model[0], "last": toy.model[4]}
    toy.optimizer = {name: torch.optim.SGD(part.parameters(), lr=0.1) for name, part in parts.items()}
    assert trainable_of(toy, loss=dict.fromkeys(parts, toy.loss)).noise_scale() is None


@pytest.mark.parametrize(
    ("build", "kind"),
    [
        (lambda p: torch.optim.Adam(p), "adam"),
        (lambda p: torch.optim.AdamW(p), "adam"),
        (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), "sgd"),
        (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.5), None),
        (lambda p: torch.optim.Adam(p, maximize=True), None),
        (lambda p: torch.optim.RMSprop(p), None),
    ],
)
def test_the_traits_name_the_optimizers_that_have_rules(toy, build, kind):
    toy.optimizer = build(toy.model.parameters())
    assert trainable_of(toy).traits.kind == kind


def test_sgd_with_clipping_is_another_kind(toy):
    assert trainable_of(toy).traits.kind == "sgd"
    assert trainable_of(toy, updater=Updater(clip_norm=1.0)).traits.kind is None
    two = {"a": torch.optim.SGD(toy.model[0].parameters(), lr=0.1), "b": torch.optim.Adam(toy.model[4].parameters())}
    toy.optimizer = two
    assert trainable_of(toy).traits.kind is None
