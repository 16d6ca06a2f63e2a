"""Normalisation within a channel against a slow reference, pixel by pixel, and its gradient against finite differences."""

import pytest
import torch
from benchmarks.papers.nets.cifar10_full import Cifar10Full, Cifar10FullSigmoid
from benchmarks.papers.nets.lrn import WithinChannelNorm


def reference(x, size, alpha, beta):
    out = torch.empty_like(x)
    height, width = x.shape[2:]
    reach = size // 2
    for n, c, i, j in torch.cartesian_prod(*map(torch.arange, x.shape)).tolist():
        total = 0.0
        for k in range(i - reach, i + reach + 1):
            for m in range(j - reach, j + reach + 1):
                if 0 <= k < height and 0 <= m < width:
                    total += float(x[n, c, k, m]) ** 2
        out[n, c, i, j] = float(x[n, c, i, j]) / (1 + alpha / size**2 * total) ** beta
    return out


@pytest.mark.parametrize(("size", "alpha", "beta"), [(3, 5e-5, 0.75), (3, 2.0, 0.75), (5, 0.7, 0.5)])
def test_it_is_the_formula_of_caffe(size, alpha, beta):
    x = 10 * torch.randn(2, 3, 5, 4, dtype=torch.float64)
    torch.testing.assert_close(WithinChannelNorm(size, alpha, beta)(x), reference(x, size, alpha, beta))


@pytest.mark.parametrize("beta", [0.75, 0.5])
def test_its_gradient_is_that_of_the_formula(beta):
    x = torch.randn(2, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(WithinChannelNorm(3, 2.0, beta), x)


@pytest.mark.parametrize("beta", [0.75, 0.5])
def test_its_gradient_can_be_differentiated_for_products_with_the_hessian(beta):
    x = torch.randn(1, 2, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(WithinChannelNorm(3, 2.0, beta), x)


def test_several_nets_can_be_one_batch():
    norm = WithinChannelNorm(3, 2.0, 0.75)
    x = torch.randn(3, 2, 2, 4, 5)
    torch.testing.assert_close(torch.func.vmap(norm)(x), torch.stack([norm(plane) for plane in x]))
    gradients = torch.func.vmap(torch.func.grad(lambda x: norm(x).sum()))(x)
    torch.testing.assert_close(gradients, torch.stack([torch.func.grad(lambda x: norm(x).sum())(plane) for plane in x]))


def test_a_window_has_a_middle():
    with pytest.raises(ValueError, match="odd"):
        WithinChannelNorm(4, 1.0, 0.75)


def test_pools_round_up_and_average_pixels_that_exist():
    net = Cifar10Full()
    assert net.pool1(torch.zeros(1, 1, 32, 32)).shape[-2:] == (16, 16)
    assert net.pool3(torch.zeros(1, 1, 8, 8)).shape[-2:] == (4, 4)
    torch.testing.assert_close(net.pool2(torch.ones(1, 1, 16, 16)), torch.ones(1, 1, 8, 8))


@pytest.mark.parametrize("kind", [Cifar10Full, Cifar10FullSigmoid])
def test_every_parameter_of_the_nets_has_a_gradient(kind):
    torch.manual_seed(0)
    net = kind()
    output = net(50 * torch.randn(20, 3, 32, 32))
    assert output.shape == (20, 10)
    torch.nn.functional.cross_entropy(output, torch.arange(20) % 10).backward()
    assert all(parameter.grad.isfinite().all() for parameter in net.parameters())
    assert [name for name, parameter in net.named_parameters() if not parameter.grad.abs().max() > 1e-12] == []
