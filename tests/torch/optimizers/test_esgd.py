"""ESGD: against a reference written from the paper, on Hessians that are known, and what it needs of a closure."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import learnrate as lr
from learnrate.torch.optimizers import ESGD

SHAPES = ((2, 3), (4,))
SIZE = 10


def problem(seed=0):
    """A symmetric matrix with eigenvalues of both signs, and the start; the loss is w H w / 2 + sum(w ** 4) / 4."""
    random = np.random.default_rng(seed)
    hessian = random.normal(size=(SIZE, SIZE))
    return (hessian + hessian.T) / 2, random.normal(size=SIZE)


def weights_at(start):
    first, second = torch.tensor(start).split([6, 4])
    return [nn.Parameter(first.reshape(SHAPES[0]).clone()), nn.Parameter(second.clone())]


def loss_of(hessian, weights, quartic=1.0):
    flat = torch.cat([weight.flatten() for weight in weights])
    return flat @ torch.tensor(hessian) @ flat / 2 + quartic * (flat**4).sum() / 4


def update(optimizer, loss):
    """An update as a user's loop makes it."""
    optimizer.zero_grad()
    loss.backward(retain_graph=optimizer.needs_closure)
    return optimizer.step(lambda: loss)


def vectors(seed, number):
    """The normal random numbers of a product, as the class documents them: they follow from seed and number."""
    state = int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> np.uint64(1))
    generator = torch.Generator().manual_seed(state)
    return np.concatenate([torch.randn(shape, generator=generator, dtype=torch.float64).numpy().ravel() for shape in SHAPES])


def reference(hessian, start, rates, damping, every, first, decay, seed, sign, updates):
    """Algorithm 1 of arXiv 1502.04390, with products every few updates; yields the weights."""
    weights, total, products = start.copy(), np.zeros(SIZE), 0
    for n in range(updates):
        here = sign * (hessian + np.diag(3 * weights**2)) + decay * np.eye(SIZE)
        gradient = sign * (hessian @ weights + weights**3) + decay * weights
        if n % every == 0:
            for _ in range(first if n == 0 else 1):
                total, products = total + (here @ vectors(seed, products)) ** 2, products + 1
        weights = weights - rates * gradient / (np.sqrt(total / products) + damping)
        yield weights


@pytest.mark.parametrize("foreach", [True, False, None])
@pytest.mark.parametrize(
    ("maximize", "decay", "every", "first"), [(False, 0.0, 1, 1), (False, 0.1, 3, 4), (True, 0.3, 4, 2)]
)
def test_every_update_is_that_of_the_reference(foreach, maximize, decay, every, first):
    hessian, start = problem()
    weights = weights_at(start)
    groups = [{"params": [weights[0]], "lr": 0.02}, {"params": [weights[1]]}]
    settings = {"damping": 0.01, "every": every, "first": first, "weight_decay": decay, "seed": 7}
    optimizer = ESGD(groups, lr=0.05, maximize=maximize, foreach=foreach, **settings)
    rates = np.array([0.02] * 6 + [0.05] * 4)
    sign = -1 if maximize else 1
    for expected in reference(hessian, start, rates, 0.01, every, first, decay, 7, sign, updates=25):
        update(optimizer, loss_of(hessian, weights))
        actual = torch.cat([weight.detach().flatten() for weight in weights]).numpy()
        np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


def test_the_preconditioner_is_the_norm_of_the_rows_of_the_hessian():
    hessian, start = problem(1)
    weights = weights_at(start)
    optimizer = ESGD(weights, lr=0.0, first=1500)
    update(optimizer, loss_of(hessian, weights, quartic=0.0))
    means = [optimizer.state[weight]["curvature_square"] / optimizer.state[weight]["products"] for weight in weights]
    preconditioner = torch.cat([mean.flatten() for mean in means]).sqrt().numpy()
    # The relative error of a root mean square of n normal numbers is 1 / sqrt(2 n), 1.8 %; four of it.
    np.testing.assert_allclose(preconditioner, np.linalg.norm(hessian, axis=1), rtol=0.073)


def test_a_closure_that_makes_the_gradients_gives_the_same_updates():
    hessian, start = problem()
    own, other = weights_at(start), weights_at(start)
    optimizers = [ESGD(own, every=3), ESGD(other, every=3)]
    evaluations = 0

    def closure():
        nonlocal evaluations
        evaluations += 1
        optimizers[1].zero_grad()
        loss = loss_of(hessian, other)
        loss.backward(retain_graph=True)
        return loss

    for _ in range(7):
        returned = update(optimizers[0], loss_of(hessian, own))
        assert torch.equal(returned, optimizers[1].step(closure))
        assert all(torch.equal(a, b) for a, b in zip(own, other, strict=True))
    assert evaluations == 7


def test_a_closure_is_needed_only_where_a_product_is_due():
    hessian, start = problem()
    weights = weights_at(start)
    optimizer = ESGD(weights, every=3)
    needed = []
    for _ in range(7):
        needed.append(optimizer.needs_closure)
        optimizer.zero_grad()
        loss = loss_of(hessian, weights)
        loss.backward(retain_graph=needed[-1])
        optimizer.step(*([lambda loss=loss: loss] if needed[-1] else []))
    assert needed == [True, False, False, True, False, False, True]
    assert optimizer.state[weights[0]]["products"] == 10 + 2


@pytest.mark.parametrize(
    ("closure", "words"),
    [
        (lambda loss: [], "received no closure"),
        (lambda loss: [lambda: loss.detach()], "a loss without its graph"),
        (lambda loss: [lambda: 1.5], "a loss without its graph"),
        (lambda loss: [lambda: loss], "the graph of the loss must be kept"),  # backward has freed it
    ],
)
def test_without_the_graph_the_error_says_what_to_do_and_nothing_changes(closure, words):
    hessian, start = problem()
    weights = weights_at(start)
    optimizer = ESGD(weights)
    loss = loss_of(hessian, weights)
    loss.backward()
    with pytest.raises(lr.errors.ArgumentError, match=words) as caught:
        optimizer.step(*closure(loss))
    assert "retain_graph=optimizer.needs_closure" in str(caught.value)
    assert torch.equal(torch.cat([weight.detach().flatten() for weight in weights]), torch.tensor(start))
    assert optimizer.needs_closure


class Once(torch.autograd.Function):
    """A square whose derivative cannot be differentiated, as that of a fused kernel."""

    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return x**2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context, gradient):
        return 2 * context.saved_tensors[0] * gradient


@pytest.mark.parametrize(
    "layer",
    [
        lambda w: Once.apply(w),  # torch takes its gradient for a constant
        lambda w: Once.apply(w) * w,
        lambda w: nn.functional.scaled_dot_product_attention(w, w, w),
        lambda w: 3 * w,
    ],
)
def test_a_loss_that_cannot_be_differentiated_twice_is_an_error(layer):
    weight = nn.Parameter(torch.ones(1, 2, 4, 8))
    with pytest.raises(lr.errors.ArgumentError, match=r"must be differentiable twice.*another form of that layer"):
        update(ESGD([weight]), layer(weight).sum())


def test_a_product_that_is_not_finite_is_left_out_with_a_warning_and_refused_at_the_start():
    weight = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    with pytest.raises(lr.errors.LossError, match="second derivative"):
        update(ESGD([weight]), weight.abs().pow(1.5).sum())
    weight = nn.Parameter(torch.ones(2, dtype=torch.float64))
    optimizer = ESGD([weight], every=1, first=1)
    update(optimizer, weight.abs().pow(1.5).sum())
    before = optimizer.state[weight]["curvature_square"].clone()
    weight.detach()[0] = 0.0
    with pytest.warns(lr.errors.NotMeasuredWarning, match="Hessian product"):
        update(optimizer, weight.abs().pow(1.5).sum())
    assert torch.equal(optimizer.state[weight]["curvature_square"], before)
    assert weight.isfinite().all()


def test_a_loss_that_has_diverged_is_no_matter_of_the_product():
    weight = nn.Parameter(torch.full((2,), torch.inf))
    optimizer = ESGD([weight])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        update(optimizer, (weight**2).sum() * 0.0)


def test_a_weight_without_curvature_and_one_outside_the_loss_are_no_obstacle():
    straight, bent, unused = (nn.Parameter(torch.ones(2)) for _ in range(3))
    optimizer = ESGD([straight, bent, unused], lr=0.1, damping=0.5)
    update(optimizer, straight.sum() + (bent**2).sum())
    assert straight.tolist() == pytest.approx([1 - 0.1 / 0.5] * 2)
    assert (bent < 1).all()
    assert unused.tolist() == [1, 1]
    assert unused not in optimizer.state


def test_a_parameter_that_is_unfrozen_waits_for_the_next_product():
    early, late = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2), requires_grad=False)
    optimizer = ESGD([early, late], every=3)
    values = []
    for n in range(4):
        late.requires_grad_(n > 0)
        update(optimizer, (early**2).sum() + (late**2).sum())
        values.append(float(late.detach()[0]))
    assert values[:3] == [1, 1, 1]
    assert values[3] < 1


def test_groups_share_what_concerns_the_hessian():
    optimizer = ESGD([nn.Parameter(torch.ones(2))], every=5)
    with pytest.raises(lr.errors.ArgumentError, match="every must be the same in all groups, 5, received 7"):
        optimizer.add_param_group({"params": [nn.Parameter(torch.ones(2))], "every": 7})
    assert len(optimizer.param_groups) == 1


def recipe(**options):
    inputs = torch.randn(24, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets = inputs.sum(1, keepdim=True).sin()
    size = 24 // options.get("accumulate", 1)
    return lr.torch.Recipe(
        model=lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double(),
        optimizer=lambda model: ESGD(model.parameters(), every=2),
        batches=lambda: list(zip(inputs.split(size), targets.split(size), strict=True)),
        loss=nn.MSELoss(),
        **options,
    )


def test_accumulated_micro_batches_have_the_hessian_of_the_whole_batch():
    whole, parts = recipe().trainable(seed=0), recipe(accumulate=3).trainable(seed=0)
    for _ in range(5):
        assert float(whole.update(0.05)["loss"]) == pytest.approx(float(parts.update(0.05)["loss"]), rel=1e-9)
    for weight, weight_of_parts in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        torch.testing.assert_close(weight, weight_of_parts, rtol=1e-9, atol=1e-12)


def test_options_of_updates_that_work_and_that_do_not():
    clipped = recipe(clip_norm=0.01, autocast=torch.bfloat16).trainable(seed=0)
    assert not clipped.traits.unbounded_steps
    assert recipe().trainable(seed=0).traits.unbounded_steps
    clipped.update(0.05)
    with pytest.raises(lr.errors.ArgumentError, match="scaler must be None if the optimizer needs a closure"):
        recipe(scaler=torch.amp.GradScaler("cpu")).trainable(seed=0)
    with pytest.raises(lr.errors.NoAnswerError, match="ESGD divides its steps by the curvature"):
        lr.probe(recipe().trainable(seed=0), updates=200)


def test_a_gradient_scaler_takes_the_closure_by_position():
    hessian, start = problem()
    own, other = weights_at(start), weights_at(start)
    optimizers, scaler = [ESGD(own, every=2), ESGD(other, every=2)], torch.amp.GradScaler("cpu", init_scale=256.0)
    for n in range(5):
        before = other[0].detach().clone()
        update(optimizers[0], loss_of(hessian, own))
        optimizers[1].zero_grad()
        loss = loss_of(hessian, other)
        scaler.scale(loss).backward(retain_graph=optimizers[1].needs_closure)
        if n == 3:
            other[0].grad[0, 0] = torch.inf  # this update is skipped
        scaler.step(optimizers[1], lambda loss=loss: loss)
        scaler.update()
        if n == 3:
            assert torch.equal(other[0], before)
            update(optimizers[1], loss_of(hessian, other))
        assert all(torch.equal(a, b) for a, b in zip(own, other, strict=True))


def test_several_processes_are_refused():
    from torch.testing._internal.distributed.fake_pg import FakeStore  # a process group without other processes

    weight = nn.Parameter(torch.ones(2))
    torch.distributed.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
    try:
        with pytest.raises(lr.errors.ArgumentError, match="ESGD must run in one process, there are 2"):
            update(ESGD([weight]), (weight**2).sum())
    finally:
        torch.distributed.destroy_process_group()


def test_an_update_that_a_control_leaves_out_is_none():
    hessian, start = problem()
    weights = weights_at(start)
    optimizer = ESGD(weights, every=2)
    optimizer.zero_grad()
    loss = loss_of(hessian, weights)
    assert optimizer.step(lambda: loss) is loss
    assert not optimizer.state
    assert optimizer.needs_closure
