"""AdaSecant: against a reference written from the paper and its authors' formulas, on curvatures that are known."""

import numpy as np
import pytest
import torch
from torch import nn

import learnrate as lr
from learnrate.torch.optimizers import AdaSecant
from learnrate.torch.optimizers.adasecant import _learning_rates
from learnrate.torch.optimizers.groups import BLOCK


def reference(start, gradients, rate, decay, gamma_max, eps, normalized, adagrad, weight_decay, sign):
    """One tensor, in NumPy; yields the weights. The names are those of the paper: tau, gamma, eta, alpha, delta."""
    weights, tiny = start.copy(), 1e-7
    zeros = np.zeros_like(start)
    tau, past = np.full_like(start, 2.1), None
    mean_g, mean_g2, numerator, denominator, corrected, last = (zeros.copy() for _ in range(6))
    mean_alpha, mean_alpha2, covariance, total = (zeros.copy() for _ in range(4))
    for raw in gradients:
        g = sign * raw(weights) + weight_decay * weights
        if normalized:
            g = g / (np.sqrt((g**2).sum()) + tiny)
        if past is None:
            mean_delta, mean_delta2, past = g.copy(), g**2, True

        def moved(mean, value, tau=tau):
            return (1 - 1 / tau) * mean + value / tau

        mean_g, mean_g2 = decay * mean_g + (1 - decay) * g, decay * mean_g2 + (1 - decay) * g**2
        numerator = moved(numerator, ((g - corrected) * (corrected - mean_g)) ** 2)
        denominator = moved(denominator, ((mean_g - g) * (corrected - mean_g)) ** 2)
        gamma = np.minimum(np.sqrt(numerator) / np.sqrt(denominator + tiny), gamma_max)
        corrected = (g + gamma * mean_g) / (1 + gamma)
        alpha, last = g - last, g
        mean_alpha, mean_alpha2 = moved(mean_alpha, alpha), moved(mean_alpha2, alpha**2)
        eta = np.sqrt(mean_delta2 + eps) / np.sqrt(mean_alpha2 + eps) - covariance / (mean_alpha2 + eps)
        delta = -rate * eta * corrected
        if adagrad:
            total = total + corrected**2
            delta = delta / np.maximum(1.0, np.sqrt(total))
        new_tau = (1 - mean_delta**2 / (mean_delta2 + tiny)) * tau + 1
        is_outlier = (np.abs(g - mean_g) > 2 * np.sqrt(mean_g2 - mean_g**2)) | (
            np.abs(alpha - mean_alpha) > 2 * np.sqrt(mean_alpha2 - mean_alpha**2)
        )
        mean_delta, mean_delta2 = moved(mean_delta, delta), moved(mean_delta2, delta**2)
        covariance = moved(covariance, alpha * delta)
        tau = np.clip(np.where(is_outlier, 2.2, new_tau), 1.5, 1e8)
        weights = weights + delta
        yield weights.copy(), int(is_outlier.sum())


@pytest.mark.parametrize("foreach", [True, False, None])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"normalized": False, "decay": 0.9, "gamma_max": 0.5, "eps": 1e-3},
        {"adagrad": True, "weight_decay": 0.1, "maximize": True, "lr": 0.7},
    ],
)
def test_every_update_is_that_of_the_reference(foreach, settings):
    random = np.random.default_rng(3)
    shapes = [(3, 4), (5,), ()]
    starts = [random.normal(size=shape) for shape in shapes]
    curvatures = [np.exp(random.normal(size=shape)) for shape in shapes]
    noises = [[0.5 * random.standard_t(3, size=shape) for _ in range(60)] for shape in shapes]
    weights = [nn.Parameter(torch.tensor(start, dtype=torch.float64)) for start in starts]
    optimizer = AdaSecant(weights, foreach=foreach, **settings)
    defaults = {"decay": 0.95, "gamma_max": 1.8, "eps": 1e-5, "normalized": True, "adagrad": False, "weight_decay": 0.0}
    sign = -1.0 if settings.get("maximize") else 1.0
    numbers = {name: settings.get(name, value) for name, value in defaults.items()}
    expected = [
        reference(start, [lambda w, h=h, e=e: h * w + e for e in noise], settings.get("lr", 1.0), sign=sign, **numbers)
        for start, h, noise in zip(starts, curvatures, noises, strict=True)
    ]
    outliers = 0
    for n in range(60):
        for weight, h, noise in zip(weights, curvatures, noises, strict=True):
            weight.grad = torch.as_tensor(h * weight.detach().numpy() + noise[n], dtype=torch.float64)
        optimizer.step()
        for weight, rows in zip(weights, expected, strict=True):
            values, count = next(rows)
            outliers += count
            np.testing.assert_allclose(weight.detach().numpy(), values, rtol=1e-11, atol=1e-12)
    assert 0 < outliers < 60 * 18 / 2  # both branches were taken


def test_the_learning_rate_is_about_the_inverse_of_the_curvature_where_gradients_are_noisy():
    curvatures = torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64)[:, None]
    torch.manual_seed(0)
    weight = nn.Parameter(torch.full((3, 20), 10.0, dtype=torch.float64))
    optimizer = AdaSecant([weight], normalized=False, gamma_max=0.0, eps=1e-12)
    minimum, products = torch.zeros_like(weight), []
    for _ in range(200):
        minimum = minimum + 0.1 * torch.randn_like(minimum)  # so that there is always something to follow
        weight.grad = curvatures * (weight.detach() - minimum) + 0.01 * torch.randn_like(weight)
        optimizer.step()
        averages = {name: [value] for name, value in optimizer.state[weight].items() if name != "step"}
        products.append((_learning_rates(averages, 1e-12)[0] * curvatures).median(1).values)
    settled = torch.stack(products[100:])
    # Curvatures differ a hundredfold, and LR times curvature is between a third of 1 and 2, where steps become unstable.
    assert (settled > 0.3).all()
    assert (settled < 2.0).all()


def test_scaling_the_loss_changes_nothing_but_rounding():
    weights = [nn.Parameter(torch.ones(4, dtype=torch.float64)) for _ in range(2)]
    noise = torch.randn(30, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    optimizers = [AdaSecant([weight]) for weight in weights]
    for row in noise:
        for weight, optimizer, scale in zip(weights, optimizers, (1.0, 1000.0), strict=True):
            weight.grad = scale * (weight.detach() + row)
            optimizer.step()
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("adagrad", [False, True])
def test_a_tensor_of_many_blocks_is_updated_as_a_whole(adagrad):
    random = torch.Generator().manual_seed(0)
    start = torch.randn(3 * BLOCK + 5, generator=random).reshape(-1, 1)
    layouts = [start, start.repeat(1, 2)[:, ::2], start]  # the second cannot be split
    weights = [nn.Parameter(start.clone()) for start in layouts]
    weights[1].data = layouts[1].repeat(1, 2)[:, ::2]
    assert not weights[1].is_contiguous()
    optimizers = [AdaSecant([weight], adagrad=adagrad, foreach=n == 2) for n, weight in enumerate(weights)]
    for _ in range(4):
        gradient = start + torch.randn(start.shape, generator=random)
        for weight, optimizer in zip(weights, optimizers, strict=True):
            weight.grad = gradient.clone()
            optimizer.step()
    for other in weights[1:]:
        torch.testing.assert_close(other, weights[0], rtol=1e-5, atol=1e-6)


def test_half_precision_is_refused_because_its_range_is_too_small():
    with pytest.raises(lr.errors.ArgumentError, match=r"wider range, received torch\.float16"):
        AdaSecant([nn.Parameter(torch.ones(2, dtype=torch.float16))])
    weight = nn.Parameter(torch.ones(2, dtype=torch.bfloat16))
    weight.grad = torch.ones_like(weight)
    AdaSecant([weight]).step()
    assert (weight < 1).all()


def test_a_gradient_of_zero_is_no_obstacle():
    weight = nn.Parameter(torch.ones(3))
    optimizer = AdaSecant([weight])
    for value in (0.0, 1.0, 0.0):
        weight.grad = torch.full((3,), value)
        optimizer.step()
    assert weight.isfinite().all()
