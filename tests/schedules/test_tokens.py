"""Lengths in tokens while the number of tokens in an update changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import learnrate as lr
from facts import facts

# GPT-3 (Brown et al., arXiv 2005.14165, section 2.3 and appendix B): the batch grows linearly from 32,000 tokens to 3.2 million
# over the first 12 billion tokens, the warm-up takes 375 million tokens, the cosine ends after 260 billion tokens.
GPT3_BATCH = lr.linear(32e3, 3.2e6, "12e9 tokens") >> lr.constant(3.2e6)


def used(per_update, updates):
    """Tokens that are used before each update, one update after the other."""
    total, totals = 0.0, [0.0]
    for n in range(updates):
        total += per_update(n)
        totals.append(total)
    return np.array(totals)


def nearest(totals, tokens, start=0):
    """The number of updates from `start` on after which the number of tokens is nearest."""
    return int(np.abs(totals[start:] - totals[start] - tokens).argmin())


def test_the_run_of_gpt3():
    horizon = lr.Horizon(tokens_per_update=GPT3_BATCH)
    batch = horizon.tokens_per_update
    totals = used(batch, 90_000)
    ramp = batch.parts[0].length
    # No length is nearer to 12 billion tokens. The mean of the ramp is that of its ends.
    assert abs(totals[ramp] - 12e9) <= min(abs(used(lr.linear(32e3, 3.2e6, n), n)[n] - 12e9) for n in (ramp - 1, ramp + 1))
    assert ramp == pytest.approx(12e9 / ((32e3 + 3.2e6) / 2), rel=1e-3)

    run = (lr.warmup(6e-5, "375e6 tokens") >> lr.cosine(6e-5, 6e-6, "260e9 tokens")).resolve(horizon)
    warmup, fall = (part.length for part in run.parts)
    assert warmup == nearest(totals, 375e6)
    assert fall == nearest(totals, 260e9, warmup)
    # At the final batch the warm-up would take 117 updates, at the first one 11,719.
    assert 117 < warmup < 11_719
    assert horizon.resolve("272e9 tokens") == nearest(totals, 272e9)


def test_parts_before_and_behind_the_rest_of_a_run():
    horizon = lr.Horizon(updates=20_000, tokens_per_update=lr.linear(1000, 5000, 20_000))
    totals = used(horizon.tokens_per_update, 20_000)
    run = lr.warmup(1, "1e6 tokens") >> lr.constant(1, "5e6 tokens") >> lr.constant(1, "rest")
    run = (run >> lr.linear(1, 0.5, "9e6 tokens") >> lr.linear(0.5, 0, "4e6 tokens")).resolve(horizon)
    warmup, first, middle, fall, last = (part.length for part in run.parts)
    assert run.length == 20_000
    assert warmup == nearest(totals, 1e6)
    assert first == nearest(totals, 5e6, warmup)
    assert totals[-1] - totals[-1 - last] == pytest.approx(4e6, abs=2500)
    assert totals[-1 - last] - totals[-1 - last - fall] == pytest.approx(9e6, abs=2500)
    assert middle == 20_000 - warmup - first - fall - last


@given(st.integers(1, 10**6), st.integers(1, 10**9))
def test_a_constant_schedule_of_tokens_is_a_number(per_update, tokens):
    tokens = min(tokens, 10_000 * per_update)
    for s in (
        lr.linear(1, 0, f"{tokens} tokens"),
        lr.multistep(1, 0.1, (f"{tokens} tokens",)),
        lr.noam(64, f"{tokens} tokens"),
    ):
        assert s.resolve(lr.Horizon(tokens_per_update=lr.constant(per_update))) == s.resolve(
            lr.Horizon(tokens_per_update=per_update)
        )


def test_a_batch_that_doubles_in_steps():
    batch = lr.piecewise_constant((10, 20, 40), (5, 8))  # 50, then 60, then 40 per update
    horizon = lr.Horizon(tokens_per_update=batch)
    lengths = {1: 1, 49: 5, 50: 5, 70: 6, 110: 8, 111: 8, 131: 9, 150: 9, 1110: 33}
    assert {tokens: horizon.resolve(f"{tokens} tokens") for tokens in lengths} == lengths
    marks = lr.multistep(1, 0.5, ("50 tokens", "110 tokens", "150 tokens")).resolve(horizon)
    assert marks.milestones == (5, 8, 9)
    assert lr.Horizon(updates=100, tokens_per_update=lr.linear(1, 2, "5%") >> lr.constant(2)).resolve("1000 tokens") == 502


@pytest.mark.parametrize(
    "schedule",
    [
        lr.triangular(0, 1, "1e9 tokens"),
        lr.warm_restarts(1, "1e9 tokens"),
        lr.warm_restarts(1, 500, warmup="1e6 tokens"),
        lr.linear(1, 0, "1e9 tokens").repeat(2),
        lr.linear(1, 0, "1e9 tokens").shift(-5),
        lr.constant(1).shift("1e9 tokens"),
        lr.constant(1).staircase("1e9 tokens"),
        lr.step_decay(1, 0.5, 10, offset="1e9 tokens"),
        lr.warmup(1, 5) >> lr.step_decay(1, 0.5, "1e9 tokens"),
    ],
    ids=repr,
)
def test_a_repeated_length_in_tokens_needs_a_constant_batch(schedule):
    with pytest.raises(ValueError, match=facts("tokens_per_update", "repeated", "updates, epochs or percent", "tokens")):
        schedule.resolve(lr.Horizon(tokens_per_update=GPT3_BATCH))
    assert schedule.resolve(lr.Horizon(tokens_per_update=1e6)).is_resolved


@pytest.mark.parametrize(
    ("per_update", "rule"),
    [
        (lr.linear(1, 0, 5), facts("tokens_per_update", "above 0")),
        (lr.constant(0), facts("tokens_per_update", "above 0")),
        (lr.triangular(1, 2, "5e3 tokens"), facts("tokens_per_update", "lengths in updates")),
        (lr.linear(1, 2, "5 epochs"), facts("updates_per_epoch", "5 epochs")),
        (lr.constant(1e-9), facts("length", "updates")),
        (-1, facts("tokens_per_update", "above 0", -1)),
        ("x", facts("tokens_per_update", "a number")),
    ],
)
def test_tokens_per_update_that_cannot_be_counted_are_refused(per_update, rule):
    with pytest.raises((ValueError, TypeError), match=rule):
        lr.Horizon(tokens_per_update=per_update).resolve("1e4 tokens")
