"""Requests: values that are checked when they are built, lines of text, and JSON."""

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import learnrate as lr
from learnrate.control import Cooldown, Replace, Scale, Stop, Undo
from learnrate.control.commands import USAGE, from_line
from learnrate.control.requests import InForce, from_json, require_request, to_json
from learnrate.errors import ArgumentError, ArgumentTypeError, LearnrateError, ParseError
from scripted import requests


@given(request=requests)
def test_a_request_is_a_value(request):
    assert from_json(to_json(request)) == request
    assert pickle.loads(pickle.dumps(request)) == request
    assert require_request(request) is request
    assert str(request)


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("scale 0.5", Scale(0.5)),
        ("  scale\t1e-1  ", Scale(0.1)),
        ("schedule cosine(0.05, 0)", Replace("cosine(0.05, 0)")),
        ("schedule warmup(0.1, 5) >> cosine(0.1, 0)  ", Replace("warmup(0.1, 5) >> cosine(0.1, 0)")),
        ("schedule from start cosine(0.1, 0, 90)", Replace("cosine(0.1, 0, 90)", begins="start")),
        ("schedule from   start constant(0.1)", Replace("constant(0.1)", begins="start")),
        ("cooldown 500", Cooldown(500)),
        ("cooldown 500 1e-5", Cooldown(500, 1e-5)),
        ("cooldown 500 0 one_minus_sqrt", Cooldown(500, 0.0, "one_minus_sqrt")),
        ("undo", Undo()),
        ("stop", Stop()),
    ],
)
def test_lines(line, request_):
    assert from_line(line) == request_


@pytest.mark.parametrize(
    ("line", "column", "words"),
    [
        ("", 1, "empty"),
        ("halve", 1, "scale, schedule, cooldown, undo, stop"),
        ("  Scale 0.5", 3, "'Scale'"),
        ("scale", 6, "scale FACTOR"),
        ("scale half", 7, "a number"),
        ("scale 0", 7, "above 0"),
        ("scale -1", 7, "above 0"),
        ("scale nan", 7, "finite"),
        ("scale 1e9", 7, "factor"),
        ("scale 0.5 0.5", 11, "beside"),
        ("schedule", 9, "schedule SCHEDULE"),
        ("schedule cosin(0.1, 0)", 10, "cosin"),
        ("schedule from start cosin(0.1, 0)", 21, "cosin"),
        ("schedule   warmup(0.1, 5) >> cosin(0.1, 0)", 30, "cosin"),
        ("schedule cosine(0.1, -1)", 10, "at least 0"),
        ("schedule __import__('os').system('true')", 27, "not a schedule"),
        ("cooldown", 9, "cooldown UPDATES"),
        ("cooldown 0", 10, "at least 1"),
        ("cooldown 5.5", 10, "a whole number"),
        ("cooldown 5 -1", 12, "at least 0"),
        ("cooldown 5 0 square", 14, "linear"),
        ("cooldown 5 0 linear now", 21, "beside"),
        ("undo 2", 6, "beside"),
        ("stop now", 6, "beside"),
    ],
)
def test_lines_with_a_fault_name_its_column(line, column, words):
    with pytest.raises(ParseError, match=rf"^column {column}: ") as raised:
        from_line(line)
    assert raised.value.column == column
    assert words in str(raised.value)
    assert pickle.loads(pickle.dumps(raised.value)).column == column


@settings(max_examples=50)
@given(
    line=st.one_of(
        st.text(max_size=40), st.builds(lambda u, t: f"{u.split()[0]} {t}", st.sampled_from(USAGE), st.text(max_size=30))
    )
)
def test_any_other_line_is_one_error(line):
    try:
        error = from_line(line)
    except ParseError as raised:
        error = raised
    if isinstance(error, ParseError):
        assert 1 <= error.column <= len(line) + 1
        assert "\n" not in str(error)


@pytest.mark.parametrize("factor", [0, -1, 1e7, 1e-7, float("nan"), float("inf")])
def test_factors_out_of_range(factor):
    with pytest.raises(ArgumentError, match="factor"):
        Scale(factor)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Scale("0.5"),
        lambda: Scale(True),
        lambda: Replace(lr.constant(0.1)),
        lambda: Cooldown(1.5),
        lambda: Cooldown(5, "0"),
    ],
)
def test_arguments_of_the_wrong_type(build):
    with pytest.raises(ArgumentTypeError):
        build()


@pytest.mark.parametrize(
    "build",
    [
        lambda: Cooldown(0),
        lambda: Cooldown(5, -1),
        lambda: Cooldown(5, 0, "square"),
        lambda: Replace("constant(0.1)", "later"),
    ],
)
def test_arguments_out_of_range(build):
    with pytest.raises(ArgumentError):
        build()


def test_an_error_of_a_schedule_names_its_column():
    with pytest.raises(ParseError) as raised:
        Replace("warmup(0.1, 5) >> cosin(0.1, 0)")
    assert raised.value.column == 19


@pytest.mark.parametrize(
    "content",
    [
        None,
        3,
        "scale",
        [],
        {},
        {"kind": "skip"},
        {"kind": ["scale"]},
        {"kind": "scale"},
        {"kind": "scale", "factor": "x"},
        {"kind": "undo", "n": 2},
        {"kind": "scale", "factor": 0.5, 3: 4},
    ],
)
def test_what_is_no_request(content):
    with pytest.raises(LearnrateError):
        from_json(content)


@given(update=st.integers(0, 25), length=st.integers(1, 20), shape=st.sampled_from(["linear", "cosine", "one_minus_sqrt"]))
def test_a_cooldown_begins_where_the_schedule_is(update, length, shape):
    present = InForce((lr.linear(0.2, 0.1, 30), lr.constant(0.5)), 0.5)
    after = Cooldown(length, 0.01, shape).applied(present, update)
    assert after.factor == 0.5
    for before, schedule in zip(present.schedules, after.schedules, strict=True):
        assert schedule(update) == pytest.approx(before(update))
        assert schedule(update + length) == pytest.approx(0.01)
        assert schedule(update + 10 * length) == pytest.approx(0.01)


@given(update=st.integers(0, 99), begins=st.sampled_from(["now", "start"]))
def test_the_rest_of_the_run_is_that_of_the_schedule_in_force(update, begins):
    present = InForce((lr.cosine(0.1, 0.0, 100),), 0.5)
    after = Replace("linear(0.3, 0.0)", begins).applied(present, update)
    assert after.factor == 1.0
    assert after.schedules[0](update) == pytest.approx(0.3 if begins == "now" else lr.linear(0.3, 0.0, 100)(update))
    assert after.schedules[0](99) > 0
    assert after.schedules[0](100) == 0
    again = Replace("linear(0.2, 0.0)").applied(after, update)
    assert again.schedules[0](100) == 0, "a schedule that counts from its update ends where the run does"


def test_the_rest_of_a_run_that_is_over():
    for schedule, update in ((lr.cosine(0.1, 0.0, 100), 100), (lr.constant(0.1), 3)):
        with pytest.raises(ArgumentError, match="lengths in updates"):
            Replace("cosine(0.1, 0)").applied(InForce((schedule,)), update)
        assert Replace("cosine(0.1, 0, 5)").applied(InForce((schedule,)), update).schedules[0](update) == 0.1
