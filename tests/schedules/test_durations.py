"""Lengths in the units of a user, and how a horizon resolves them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import learnrate as lr
from learnrate.errors import UnresolvedError

RUN = lr.Horizon(updates=10_000, updates_per_epoch=250, tokens_per_update=1e6)


@pytest.mark.parametrize(
    ("text", "updates"),
    [
        ("3 epochs", 750),
        ("1 epoch", 250),
        ("0.5 epochs", 125),
        ("5%", 500),
        ("12.5 %", 1250),
        ("2e9 tokens", 2000),
        ("0.001%", 1),  # rounded, but never to 0
        ("700 updates", 700),
        ("1000 updates", 1000),
        ("1000 steps", 1000),
        ("1 step", 1),
        ("1e3 Steps", 1000),
        ("rest", 10_000),
        ("  REST ", 10_000),
    ],
)
def test_a_length_in_every_unit(text, updates):
    assert lr.linear(1, 0, text).resolve(RUN) == lr.linear(1, 0, updates)


@pytest.mark.parametrize("text", ["3 epochs", "1 epoch", "5%", "2e+09 tokens", "0.3333333333333333 epochs", "rest"])
def test_a_length_has_one_spelling_when_printed(text):
    s = lr.linear(1, 0, text.upper() if text != "2e+09 tokens" else "2000000000 token")
    assert s == lr.linear(1, 0, text)
    assert lr.parse(repr(s)) == s
    assert lr.schedules.from_json(s.to_json()) == s


@pytest.mark.parametrize(
    "text",
    ["", "epochs", "3", "3 eons", "-3 epochs", "1e-400 epochs", "101%", "nan%", "1e999 tokens", "1.2.3%", "2.5 updates"],
)
def test_a_text_that_is_not_a_length_is_refused(text):
    with pytest.raises((ValueError, TypeError), match=r"^length must"):
        lr.linear(1, 0, text)


@pytest.mark.parametrize(
    ("schedule", "horizon", "rule"),
    [
        (lr.linear(1, 0, "5%"), lr.Horizon(updates_per_epoch=5), "updates to resolve '5%'"),
        (lr.linear(1, 0), lr.Horizon(updates_per_epoch=5), "updates to resolve 'rest'"),
        (lr.linear(1, 0, "3 epochs"), 100, "updates_per_epoch to resolve '3 epochs'"),
        (lr.linear(1, 0, "3 tokens"), 100, "tokens_per_update to resolve '3 tokens'"),
        (lr.warmup(1, 101) >> lr.cosine(1, 0), 100, "at least 0 of 100 updates for the 'rest'.* 1 more:"),
        (lr.linear(1, 0).repeat(10**5, length_growth=1.5), 100, "at least 1 update"),
        (lr.linear(1, 0, "1e300 epochs"), lr.Horizon(updates_per_epoch=1e300), "^length must be at most 2"),
        (lr.linear(1, 0, "5 tokens"), lr.Horizon(tokens_per_update=1e-320), "^length must be at most 2"),
        (lr.linear(1, 0), 0, "^horizon must be at least 1, received 0"),
    ],
)
def test_a_horizon_that_cannot_resolve_a_length(schedule, horizon, rule):
    with pytest.raises(ValueError, match=rule):
        schedule.resolve(horizon)


@pytest.mark.parametrize(
    "bad", [{}, {"updates": 0}, {"updates": -1}, {"updates_per_epoch": 0}, {"tokens_per_update": float("nan")}]
)
def test_an_invalid_horizon_is_refused(bad):
    with pytest.raises(ValueError, match="must"):
        lr.Horizon(**bad)


@pytest.mark.parametrize(
    "schedule",
    [
        lr.linear(1, 0, "5%"),
        lr.warmup(0.1, "5%") >> lr.cosine(0.1, 0),
        lr.triangular(0, 1, "2 epochs", cycles=2),
        lr.warm_restarts(1, "10 epochs", warmup="1 epoch", cycles=2),
        lr.multistep(1, 0.1, ("30%", "60%")),
        lr.linear(1, 0) * 0.5,
        lr.linear(1, 0) * lr.constant(1),
        lr.linear(1, 0, "5%").repeat(3),
        lr.linear(1, 0).clip(low=0.5),
        lr.linear(1, 0).mirrored(0.8, 0.9),
        lr.linear(1, 0, 100).staircase("1 epoch"),
        lr.linear(1, 0).shift(10),
        lr.linear(1, 0, 5000).shift("2 epochs"),
        lr.constant(1).shift("-2 epochs"),
        lr.linear(1, 0) + lr.constant(1),
        lr.wsd(1),
        lr.one_cycle(1),
        lr.noam(512, "5%"),
    ],
    ids=repr,
)
def test_an_unresolved_schedule_prints_but_has_no_value(schedule):
    assert not schedule.is_resolved
    assert lr.parse(repr(schedule)) == schedule
    assert lr.schedules.from_json(schedule.to_json()) == schedule
    assert schedule._repr_html_() is None
    for use in (lambda: schedule(0), schedule.plot, schedule.boundaries):
        with pytest.raises(UnresolvedError, match="resolve"):
            use()
    resolved = schedule.resolve(RUN)
    assert resolved.is_resolved
    assert resolved(0) >= 0
    assert resolved.resolve(5) is resolved


@given(st.integers(20, 10**7))
def test_the_parts_of_a_run_have_its_length(updates):
    for run in (lr.wsd(0.1), lr.trapezoid(0.1), lr.linear_to_zero(0.1), lr.knee(0.1, warmup="5%"), lr.one_cycle(0.1)):
        assert run.resolve(updates).length == updates
    for run in (lr.wsd(0.1, updates), lr.linear_to_zero(0.1, updates), lr.knee(0.1, updates)):
        assert run.length == updates


@pytest.mark.parametrize("bad", [-3, 0, "0 epochs", "200%", 2.5, "1.2.3 epochs", "rest", None])
def test_a_horizon_resolves_only_lengths(bad):
    with pytest.raises((ValueError, TypeError), match=r"^length must"):
        RUN.resolve(bad)


def test_the_error_names_the_length():
    with pytest.raises(UnresolvedError, match="received '5%'"):
        (lr.linear(1, 0, "5%") * 2).boundaries()


def test_the_rest_can_be_between_parts_and_inside_combinators():
    s = lr.warmup(1, 100) >> (lr.cosine(1, 0) * 0.5) >> lr.constant(0.1, "10%") >> lr.constant(0.2)
    assert s.resolve(1000) == lr.warmup(1, 100) >> (lr.cosine(1, 0, 800) * 0.5) >> lr.constant(0.1, 100) >> lr.constant(0.2)
    assert lr.linear(1, 0).repeat(3).resolve(90) == lr.linear(1, 0, 30).repeat(3)
    assert lr.linear(1, 0).repeat(2, length_growth=2).resolve(90) == lr.linear(1, 0, 30).repeat(2, length_growth=2)
    assert lr.linear(1, 0).shift(10).resolve(100).length == 100
    assert lr.linear(1, 0).clip(low=0.5).resolve(100).length == 100


def test_a_run_of_given_length_resolves_the_shares_of_its_parts():
    assert lr.wsd(0.1, 1000, warmup=10, cooldown="50%") == lr.wsd(0.1, warmup=10, cooldown="50%").resolve(1000)
    assert lr.parse("wsd(0.1, 1000)") == lr.wsd(0.1, 1000)
