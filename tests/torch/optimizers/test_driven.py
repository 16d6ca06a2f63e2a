"""What holds for each of the optimizers: states, refusals, schedules, tuning, and a real net."""

import io

import numpy as np
import pytest
import torch
from torch import nn

import learnrate as lr
from learnrate.torch.optimizers import ESGD, AdaSecant
from learnrate.torch.optimizers.groups import in_lists

BOTH = pytest.mark.parametrize("kind", [ESGD, AdaSecant])


def net(seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).to(dtype)


def data(updates, dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(updates, 16, 6, generator=generator, dtype=dtype)
    return [(batch, batch[:, :3].argmax(1)) for batch in inputs]


def train(model, optimizer, batches):
    """Returns the losses."""
    losses = []
    for inputs, targets in batches:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward(retain_graph=getattr(optimizer, "needs_closure", False))
        optimizer.step(lambda loss=loss: loss)
        losses.append(loss.item())
    return losses


@BOTH
def test_one_call_for_all_parameters_gives_the_same_bits(kind):
    models = [net(), net()]
    for model, foreach in zip(models, (True, False), strict=True):
        model[2].double()
        mixed = nn.Sequential(model[0], model[1])
        optimizer = kind([{"params": mixed.parameters()}, {"params": model[2].parameters(), "lr": 0.05}], foreach=foreach)
        for inputs, targets in data(25):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model[2](mixed(inputs).double()), targets)
            loss.backward(retain_graph=True)
            optimizer.step(lambda loss=loss: loss)
    assert all(torch.equal(a, b) for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True))


def test_parameters_are_updated_by_one_call_for_each_dtype_or_each_by_itself():
    parameters = [torch.ones(2, dtype=dtype) for dtype in (torch.float32, torch.float64, torch.float32)]
    sizes = {foreach: [len(together) for together in in_lists(parameters, foreach)] for foreach in (True, False, None)}
    assert sizes == {True: [2, 1], False: [1, 1, 1], None: [1, 1, 1]}


@BOTH
def test_a_run_that_is_resumed_goes_on_bit_for_bit(kind):
    stop = int(np.random.default_rng(5).integers(5, 35))
    settings = {"seed": 9, "every": 4} if kind is ESGD else {"adagrad": True, "gamma_max": 1.2}
    model = net()
    optimizer = kind(model.parameters(), lr=0.1, **settings)
    batches = data(40)
    train(model, optimizer, batches[:stop])
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
    through = train(model, optimizer, batches[stop:])
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    again = net(seed=3)
    other = kind(again.parameters(), lr=0.5)  # the settings are those of the checkpoint
    again.load_state_dict(loaded["model"])
    other.load_state_dict(loaded["optimizer"])
    assert train(again, other, batches[stop:]) == through
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


@BOTH
def test_what_they_cannot_train_is_refused_before_anything_changes(kind):
    with pytest.raises(lr.errors.ArgumentError, match=r"must be real, received torch\.complex64: .*view_as_real"):
        kind([nn.Parameter(torch.ones(2, dtype=torch.complex64))])
    table = nn.Embedding(5, 2, sparse=True)
    before = table.weight.detach().clone()
    optimizer = kind(table.parameters())
    loss = (table(torch.tensor([1, 2])) ** 2).sum()
    loss.backward(retain_graph=True)
    with pytest.raises(lr.errors.ArgumentError, match=r"gradients must be dense.*\(5, 2\).*sparse=False"):
        optimizer.step(lambda: loss)
    assert torch.equal(table.weight, before)


@pytest.mark.parametrize(
    ("kind", "name", "value", "error"),
    [
        *((kind, "lr", value, error) for kind in (ESGD, AdaSecant) for value, error in [(-1, ValueError), ("a", TypeError)]),
        *((kind, "lr", torch.ones(2), ValueError) for kind in (ESGD, AdaSecant)),
        *((kind, "weight_decay", float("nan"), ValueError) for kind in (ESGD, AdaSecant)),
        *((kind, "maximize", 1, TypeError) for kind in (ESGD, AdaSecant)),
        *((kind, "foreach", "yes", TypeError) for kind in (ESGD, AdaSecant)),
        (ESGD, "damping", 0, ValueError),
        (ESGD, "every", 0, ValueError),
        (ESGD, "first", 2.5, TypeError),
        (ESGD, "seed", -1, ValueError),
        (AdaSecant, "decay", 1, ValueError),
        (AdaSecant, "gamma_max", -0.1, ValueError),
        (AdaSecant, "eps", 0, ValueError),
        (AdaSecant, "normalized", None, TypeError),
        (AdaSecant, "adagrad", 0, TypeError),
    ],
)
def test_wrong_settings_are_named(kind, name, value, error):
    parameter = nn.Parameter(torch.ones(2))
    with pytest.raises(error, match=f"^{name} must be .*received") as caught:
        kind([parameter], **{name: value})
    assert isinstance(caught.value, lr.errors.LearnrateError)
    optimizer = kind([parameter])
    with pytest.raises(error, match=f"^{name} must be "):
        optimizer.add_param_group({"params": [nn.Parameter(torch.ones(2))], name: value})
    assert len(optimizer.param_groups) == 1


@BOTH
@pytest.mark.parametrize("tensor", [False, True])
def test_a_cyclical_schedule_drives_them(kind, tensor):
    schedule = lr.triangular2(0.02, 0.2, step_size=5)
    model = net()
    optimizer = kind(model.parameters(), lr=torch.tensor(0.5) if tensor else 0.5)
    fixed = net()
    attachment = lr.torch.attach(optimizer, schedule)
    used = []
    optimizer.register_step_pre_hook(lambda opt, *_: used.append(float(opt.param_groups[0]["lr"])))
    losses = train(model, optimizer, data(40))
    attachment.detach()
    assert used == pytest.approx([schedule(n) for n in range(40)], rel=1e-6)
    assert losses != train(fixed, kind(fixed.parameters(), lr=0.02), data(40))  # the LR has an effect


@BOTH
def test_a_controller_sees_their_updates(kind):
    model = net()
    optimizer = kind(model.parameters(), lr=0.05)
    attachment = lr.torch.attach(optimizer, lr.constant(0.05), control=lr.control.plateau(patience=5))
    used = []
    for inputs, targets in data(12):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward(retain_graph=True)
        attachment.observe(loss)
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step(lambda loss=loss: loss)
        if len(used) == 6:
            attachment.scale(0.5)
    schedule = attachment.control.schedule
    attachment.detach()
    assert used == [schedule(n) for n in range(12)]
    assert (used[0], used[-1]) == (0.05, 0.025)


def recipe(kind):
    batches = data(8)
    return lr.torch.Recipe(
        model=lambda: net(),
        optimizer=lambda model: kind(model.parameters()),
        batches=lambda: batches,
        loss=nn.CrossEntropyLoss(),
    )


@BOTH
def test_a_range_test_and_tuning_give_them_back_and_choose_an_lr_that_trains(kind):
    model = net()
    optimizer = kind(model.parameters(), lr=0.05)
    batches = data(8)
    train(model, optimizer, batches[:3])
    state = {name: value.clone() for name, value in model.state_dict().items()}
    kept = [
        {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in optimizer.state[p].items()}
        for p in model.parameters()
    ]
    curve = lr.torch.range_test(model, optimizer, batches, nn.CrossEntropyLoss(), updates=40, low=1e-3, high=30.0)
    assert len(curve) > 10
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    for before, parameter in zip(kept, model.parameters(), strict=True):
        after = optimizer.state[parameter]
        assert before.keys() == after.keys()
        for name, value in before.items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(after[name])), name
    assert optimizer.param_groups[0]["lr"] == 0.05
    plan = lr.tune(recipe(kind).trainable(seed=0), updates=80)
    trained = recipe(kind).trainable(seed=0)
    losses = [float(trained.update(plan.schedule(n))["loss"]) for n in range(80)]
    assert np.mean(losses[-8:]) < 0.8 * np.mean(losses[:8])


def digits_loss(optimizer_of, rate, seed, updates=250):
    """Training loss on all digits after as many updates at a constant LR."""
    sklearn = pytest.importorskip("sklearn.datasets")
    inputs, targets = sklearn.load_digits(return_X_y=True)
    inputs, targets = torch.tensor(inputs / 16, dtype=torch.float32), torch.tensor(targets)
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(0, len(inputs), (updates, 64), generator=generator)
    train(model, optimizer_of(model.parameters(), lr=rate), [(inputs[row], targets[row]) for row in rows])
    with torch.no_grad():
        return float(nn.functional.cross_entropy(model(inputs), targets))


@pytest.mark.slow
def test_on_real_digits_both_reach_the_loss_of_sgd_at_their_best_lrs():
    best = {}
    for kind, rates in {torch.optim.SGD: (0.7, 1.0, 1.4), ESGD: (0.14,), AdaSecant: (1.4,)}.items():
        best[kind] = min(np.mean([digits_loss(kind, rate, seed) for seed in (0, 1)]) for rate in rates)
    assert best[torch.optim.SGD] < 0.1  # it does train
    assert best[ESGD] <= best[torch.optim.SGD]
    assert best[AdaSecant] <= best[torch.optim.SGD]
