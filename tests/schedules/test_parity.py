"""Every row of the parity table: the values of both libraries are equal over whole runs, for many settings."""

import re

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import learnrate as lr
import parity_peers
from parity_table import REACTING, TABLE

# In one worker, because it takes longer to import the peers than to compare with them.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("parity")]

ROWS = [pytest.param(peer, row, id=f"{peer}-{row.theirs[:60]}") for peer, rows in TABLE.items() for row in rows]
OURS = {name: getattr(lr, name) for name in lr.__all__}


@pytest.mark.parametrize(("peer", "row"), ROWS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(data=st.data())
def test_ours_equals_theirs(peer, row, data):
    values = {name: data.draw(strategy, label=name) for name, strategy in row.settings.items()}
    assume(eval(row.where, {}, values))
    updates = int(eval(row.updates, {}, values))
    theirs = parity_peers.VALUES[peer](row, values, updates)
    schedule = eval(row.ours, {**OURS, **values})
    np.testing.assert_allclose(schedule(np.arange(updates + 1)), theirs, rtol=1e-9, atol=1e-13 * theirs.max())


@pytest.mark.parametrize("peer", TABLE)
def test_the_table_has_every_scheduler_of_the_other_libraries(peer):
    in_table = {name for row in TABLE[peer] for name in re.findall(r"\w+", row.theirs)}
    assert parity_peers.names()[peer] - in_table - REACTING.get(peer, set()) == set()


def test_every_name_in_the_table_of_reactive_schedulers_exists():
    for peer, names in REACTING.items():
        assert names <= parity_peers.names()[peer]


def torch_lrs(make, updates, **optimizer_arguments):
    """The LRs that a torch scheduler sets."""
    optimizer = parity_peers.sgd(optimizer_arguments)
    return parity_peers.stepped(optimizer, make(optimizer), updates)


# Evidence for the notes of the table about other libraries. If one of them corrects its fault, the test fails: remove the
# note.


def test_torch_misses_restarts_at_exact_powers():
    optimizer = parity_peers.sgd({"lr": 1.0})
    scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=1, T_mult=3)
    optimizer.step()
    scheduler.step(121)  # (3 ** 5 - 1) / 2: the start of period 5
    assert scheduler.get_last_lr() == [0.0]
    assert lr.warm_restarts(1.0, period=1, growth=3)(121) == 1.0


def test_timm_misses_restarts_at_exact_powers():
    optimizer = parity_peers.sgd({"lr": 1.0})
    scheduler = parity_peers.timm_scheduler().CosineLRScheduler(optimizer, 1, cycle_mul=3.0, cycle_limit=9)
    scheduler.step(121)
    assert optimizer.param_groups[0]["lr"] == 0.0


def test_torch_one_cycle_divides_by_zero_at_tiny_lengths():
    with pytest.raises(ZeroDivisionError):
        torch_lrs(lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=10, pct_start=0.1), 3)
    with pytest.raises(ValueError, match=r"pct_start \* total_steps"):
        lr.one_cycle.torch(1.0, total_steps=10, pct_start=0.1)
    assert lr.one_cycle(1.0, 1)(1) == pytest.approx(4e-6)


def test_torch_cosine_rises_again():
    theirs = torch_lrs(lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10), 20, lr=1.0)
    assert theirs[20] == pytest.approx(1.0)
    assert lr.cosine(1.0, 0.0, 10)(20) == 0.0


def test_piecewise_boundaries_and_decay_steps_mean_different_updates():
    import keras
    import optax

    assert float(keras.optimizers.schedules.PiecewiseConstantDecay([10], [1.0, 0.5])(10)) == 1.0
    assert float(optax.schedules.piecewise_constant_schedule(1.0, {10: 0.5})(10)) == 0.5
    keras_end = keras.optimizers.schedules.CosineDecay(0.0, 20, warmup_target=1.0, warmup_steps=10)
    optax_end = optax.schedules.warmup_cosine_decay_schedule(0.0, 1.0, warmup_steps=10, decay_steps=20)
    assert float(keras_end(20)) == pytest.approx(0.5)
    assert float(optax_end(20)) == pytest.approx(0.0, abs=1e-6)
