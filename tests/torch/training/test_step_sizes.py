"""LR-free step sizes against slow references, written as the papers write them, and against Prodigy's own implementation."""

import math

import numpy as np
import pytest
import torch

from learnrate.torch.training.step_sizes import FIRST_DISTANCE, FIRST_MOVE, DoWG, Measure, Prodigy


def problem(seed=0):
    """Parameters of two shapes, and a function that computes their gradients on a batch."""
    random = np.random.default_rng(seed)
    parameters = [torch.nn.Parameter(torch.tensor(random.standard_normal(shape))) for shape in ((4, 3), (3,))]
    data = torch.tensor(random.standard_normal((200, 4)))
    targets = data @ torch.tensor(random.standard_normal((4, 3))) + 1

    def gradients():
        rows = torch.tensor(random.integers(0, 200, 16))
        loss = ((data[rows] @ parameters[0] + parameters[1] - targets[rows]) ** 2).mean()
        return torch.autograd.grad(loss, parameters)

    return parameters, gradients


def flat(tensors):
    return np.concatenate([tensor.detach().numpy().ravel() for tensor in tensors])


def test_prodigys_distance_is_that_of_the_paper():
    parameters, gradients = problem()
    optimizer = torch.optim.Adam(parameters)
    step_size, beta = Prodigy(parameters, 0.999), math.sqrt(0.999)
    start, distance, numerator, total = flat(parameters), FIRST_DISTANCE, 0.0, np.zeros(15)
    for _ in range(60):
        batch = gradients()
        numerator = beta * numerator + distance**2 * float(flat(batch) @ (start - flat(parameters)))
        total = beta * total + distance**2 * flat(batch)
        distance = max(distance, numerator / np.abs(total).sum())
        optimizer.param_groups[0]["lr"] = step_size.lr(batch)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(distance, rel=1e-9)
        for parameter, gradient in zip(parameters, batch, strict=True):
            parameter.grad = gradient
        optimizer.step()
    assert distance > 1e3 * FIRST_DISTANCE


def test_prodigys_distance_is_that_of_its_implementation_along_the_same_weights():
    prodigyopt = pytest.importorskip("prodigyopt")
    parameters, gradients = problem()
    theirs = prodigyopt.Prodigy(parameters, lr=1.0)
    step_size = Prodigy(parameters, theirs.param_groups[0]["betas"][1])
    for _ in range(100):
        batch = gradients()
        distance = step_size.lr(batch)
        for parameter, gradient in zip(parameters, batch, strict=True):
            parameter.grad = gradient.clone()
        theirs.step()
        assert distance == pytest.approx(theirs.param_groups[0]["d"], rel=1e-6)
    assert distance > 1e3 * FIRST_DISTANCE


def test_steps_of_unequal_size_weight_the_gradients():
    """Prodigy's distance of parameters x = u y is that of y, on which an optimizer makes steps of one size."""
    parameters, gradients = problem()
    units, ours = (0.25, 3.0), [torch.nn.Parameter(parameter.detach().clone()) for parameter in parameters]
    scaled = [torch.nn.Parameter(parameter.detach() / unit) for parameter, unit in zip(parameters, units, strict=True)]
    plain = Prodigy(scaled, 0.999)
    weighted = Prodigy(ours, 0.999, measures=[Measure(lambda unit=unit: unit) for unit in units])
    for _ in range(60):
        batch = gradients()
        of_scaled = [unit * gradient for unit, gradient in zip(units, batch, strict=True)]
        distance = weighted.lr(batch)
        assert distance == pytest.approx(plain.lr(of_scaled), rel=1e-9)
        with torch.no_grad():
            for parameter, mine, theirs, unit, gradient in zip(parameters, ours, scaled, units, batch, strict=True):
                theirs -= distance * gradient.sign()
                mine -= unit * distance * gradient.sign()
                parameter.copy_(mine)
    assert distance > 1e3 * FIRST_DISTANCE


def test_steps_of_a_spectral_norm_are_measured_by_the_nuclear_norm():
    parameters, gradients = problem()
    matrix, numerator, total, beta = parameters[:1], 0.0, 0.0, math.sqrt(0.999)
    step_size, start, distance = (
        Prodigy(matrix, 0.999, measures=[Measure(nuclear=True)]),
        matrix[0].detach().clone(),
        FIRST_DISTANCE,
    )
    for _ in range(60):
        gradient = gradients()[0]
        numerator = beta * numerator + distance**2 * float((gradient * (start - matrix[0].detach())).sum())
        total = beta * total + distance**2 * gradient
        distance = max(distance, numerator / float(torch.linalg.matrix_norm(total, "nuc")))
        assert step_size.lr([gradient]) == pytest.approx(distance, rel=1e-9)
        left, _, right = torch.linalg.svd(gradient, full_matrices=False)
        with torch.no_grad():
            matrix[0] -= distance * left @ right
    assert distance > 1e3 * FIRST_DISTANCE


def test_dowgs_steps_are_those_of_the_paper():
    parameters, gradients = problem()
    step_size = DoWG(parameters)
    start, weighted = flat(parameters), 0.0
    moved = FIRST_MOVE * (1 + np.linalg.norm(start))
    for _ in range(60):
        batch = gradients()
        moved = max(moved, np.linalg.norm(flat(parameters) - start))
        weighted += moved**2 * float(flat(batch) @ flat(batch))
        step = step_size.lr(batch)
        assert step == pytest.approx(moved**2 / math.sqrt(weighted), rel=1e-9)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, batch, strict=True):
                parameter -= step * gradient
    assert step > 1e-3


@pytest.mark.parametrize("step_size", [lambda p: Prodigy(p, 0.999), DoWG], ids=["Prodigy", "DoWG"])
def test_parameters_without_a_gradient_and_zero_gradients_change_nothing(step_size):
    parameters, gradients = problem()
    of_all, of_first = step_size(parameters), step_size(parameters[:1])
    for _ in range(5):
        first, _ = gradients()
        pair = of_all.lr([first, None]), of_first.lr([first])
        if step_size is not DoWG:  # DoWG begins with a share of the norm of all weights
            assert pair[0] == pair[1]
    silent = step_size(parameters)
    assert math.isfinite(silent.lr([torch.zeros_like(p) for p in parameters]))
    assert math.isfinite(silent.lr([None, None]))
