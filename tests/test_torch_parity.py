"""Equality with torch's own schedulers, over whole runs."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR

import learnrate as lr

MODES = {
    "triangular": lambda base, top, step, gamma: lr.triangular(base, top, step),
    "triangular2": lambda base, top, step, gamma: lr.triangular2(base, top, step),
    "exp_range": lambda base, top, step, gamma: lr.exp_range(base, top, step, gamma),
}


def driven(make, updates):
    """The LRs that a torch scheduler gives, update by update."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = make(optimizer)
    seen = []
    for _ in range(updates):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(seen)


@settings(max_examples=30)
@given(
    st.sampled_from(list(MODES)),
    st.floats(1e-6, 0.1),
    st.floats(1.5, 100),
    st.integers(1, 60),
    st.floats(0.9, 1.0),
)
def test_cyclic(mode, base_lr, factor, step_size, gamma):
    theirs = driven(
        lambda optimizer: CyclicLR(
            optimizer, base_lr, base_lr * factor, step_size_up=step_size, mode=mode, gamma=gamma, cycle_momentum=False
        ),
        updates=6 * step_size + 3,
    )
    ours = MODES[mode](base_lr, base_lr * factor, step_size, gamma)(np.arange(len(theirs)))
    # torch takes the place in the cycle from a floating-point quotient, which costs it some digits of the rise.
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * base_lr * factor * len(theirs))


@settings(max_examples=30)
@given(
    st.floats(1e-4, 1.0),
    st.integers(20, 300),
    st.floats(0.1, 0.9),
    st.floats(1.0, 50.0),
    st.floats(1.0, 1e5),
    st.sampled_from(["cosine", "linear"]),
)
def test_one_cycle(max_lr, total, pct_start, div_factor, final_div_factor, shape):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = driven(
            lambda optimizer: OneCycleLR(
                optimizer,
                max_lr,
                total_steps=total + 1,
                pct_start=pct_start,
                anneal_strategy={"cosine": "cos", "linear": "linear"}[shape],
                div_factor=div_factor,
                final_div_factor=final_div_factor,
                cycle_momentum=False,
            ),
            updates=total,
        )
    # The same run in torch's words: its T is total + 1 here, so that the update past the last can be stepped to.
    share = (pct_start * (total + 1) - 1) / total
    ours = lr.one_cycle(max_lr, total, share, div_factor, final_div_factor, shape)(np.arange(total))
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12 * max_lr)


def test_warmup_then_cosine_equals_sequential():
    def sequential(optimizer):
        return torch.optim.lr_scheduler.SequentialLR(
            optimizer,
            [
                torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=10),
                torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50),
            ],
            milestones=[10],
        )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SequentialLR itself calls a deprecated form of step
        theirs = driven(sequential, 60)
    ours = lr.warmup(0.1, 10, start=0.01) >> lr.cosine(0.1, 0.0, 50)
    np.testing.assert_allclose(ours(np.arange(60)), theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("power", [0.5, 1.0, 3.0])
def test_polynomial(power):
    theirs = driven(lambda optimizer: torch.optim.lr_scheduler.PolynomialLR(optimizer, 40, power=power), 60)
    np.testing.assert_allclose(lr.polynomial(0.1, 0.0, 40, power)(np.arange(60)), theirs, rtol=1e-9, atol=1e-12)
