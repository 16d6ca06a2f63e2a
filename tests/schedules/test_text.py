"""parse: the inverse of repr, with a closed vocabulary."""

import pickle

import pytest

import learnrate as lr
from learnrate.errors import ArgumentError, ParseError


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("constant(0.1)", lr.constant(0.1)),
        (" linear( 0.1 , end = 0, length=10 ) ", lr.linear(0.1, 0, 10)),
        ("warmup(0.1, 500) >> cosine(0.1, 0, 9500)", lr.warmup(0.1, 500) >> lr.cosine(0.1, 0, 9500)),
        (
            "(constant(1, 2) >> constant(3, 4)) >> constant(+5e-1)",
            lr.constant(1, 2) >> lr.constant(3, 4) >> lr.constant(0.5),
        ),
        ("one_cycle(1, 10, shape='linear')", lr.one_cycle(1, 10, shape="linear")),
    ],
)
def test_reads(text, schedule):
    assert lr.parse(text) == schedule


def test_prints_only_what_differs_from_the_default():
    assert repr(lr.triangular2(1e-3, 6e-3, 2000)) == "triangular2(base_lr=0.001, max_lr=0.006, step_size=2000)"
    assert repr(lr.warmup(0.1, 5) >> lr.constant(0.1)) == "warmup(max_lr=0.1, length=5) >> constant(value=0.1)"


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("triangle2(1, 2, 3)", 1, "did you mean 'triangular2'?"),
        ("zzz(1)", 1, "known are constant, cosine"),
        ("constant(0.1, 5) >> cosin(0.1, 0, 5)", 21, "did you mean 'cosine'?"),
        ("constant(0.1, 5) >> 3", 21, "expected a schedule"),
        ("cosine(0.1)", 1, "missing 1 required positional argument: 'end'"),
        ("cosine(0.1, 0, lenth=3)", 16, "unexpected argument 'lenth' of cosine; did you mean 'length'?"),
        ("cosine(0.1, 0, open('x'))", 16, "expected a number"),
        ("constant(0.1, '5\u00a0%') >> cosin(1, 0)", 25, "did you mean 'cosine'?"),
        ("(constant(0.1, 5)\n>> liner(0.1, 0, 3))", 22, "did you mean 'linear'?"),
        ("linear(1, 0, 5) >> cosine(1, 0, 5).repat(3)", 36, "did you mean 'repeat'?"),
        ("constant(0.1, 5) >> ", 21, "not an expression"),
        (r"cosine(0.1, 0, '\d%')", 1, "length must be a number of updates or a text"),
        ("constant(True)", 10, "expected a number"),
        ("constant(1+1)", 10, "expected a number"),
        ("constant(value=0.1, value=0.2)", None, ""),
        ("constant(**{'value': 1})", 10, "written out"),
        ("lr.constant(0.1)", 1, "expected a schedule"),
        ("linear(-1, 0, 4)", 1, "start must be at least 0"),
        ("constant(1) >> constant(2)", 1, "must be finite"),
        ("constant(0.1", 9, "not an expression"),
        ("", None, "not an expression"),
        ("  constant(0.1) >> ", None, "not an expression"),
        ("constant(0.1); constant(0.2)", 14, "not an expression"),
        ("constant(\0)", 1, ""),
        ("(" * 5000, None, ""),
        ("-" * 100_000 + "1", None, ""),
    ],
)
def test_says_where_the_trouble_is(text, column, words):
    with pytest.raises(ParseError, match="not a schedule, column") as caught:
        lr.parse(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    if column is not None:
        assert caught.value.column == column


def test_a_long_chain_is_read_back():
    parts = [lr.constant(0.1, 1)] * 500
    chain = lr.schedules.Chain(parts)
    assert lr.parse(repr(chain)) == chain


@pytest.mark.parametrize("parts", [(), (lr.constant(0.1, 1),), (1, 2)])
def test_a_chain_of_something_else_is_refused(parts):
    with pytest.raises(TypeError, match="two schedules or more"):
        lr.schedules.Chain(parts)


def test_a_parse_error_pickles():
    error = pickle.loads(pickle.dumps(ParseError("no", 3)))
    assert (str(error), error.column, isinstance(error, ArgumentError)) == ("no", 3, True)


def test_only_text_is_parsed():
    with pytest.raises(ParseError, match="must be a str"):
        lr.parse(0.1)


def smoothstep(p):
    return p * p * (3 - 2 * p)


def test_a_function_that_stands_in_a_module_is_printed_and_read_by_name():
    s = lr.custom(1.0, 0.0, smoothstep, 10) >> lr.function(smoothstep)
    assert repr(s) == (
        "custom(start=1.0, end=0.0, shape=test_schedules_text.smoothstep, length=10) "
        ">> function(of=test_schedules_text.smoothstep)"
    )
    assert lr.parse(repr(s), [smoothstep]) == s
    with pytest.raises(
        ParseError, match=r"column 34: .* a function that is known here; 'test_schedules_text\.smoothstep' is not, give it"
    ):
        lr.parse(repr(s))
    with pytest.raises(ArgumentError, match=r"'test_schedules_text\.smoothstep' is not known here"):
        lr.schedules.from_json(s.to_json())


def test_a_function_without_a_name_works_but_cannot_be_written():
    s = lr.custom(1.0, 0.0, lambda p: p, 10)
    assert s(5) == 0.5
    assert "<test_a_function_without_a_name_works_but_cannot_be_written.<locals>.<lambda>>" in repr(s)
    with pytest.raises(ArgumentError, match="must stand in a module"):
        s.to_json()
    with pytest.raises(TypeError, match="functions that stand in a module"):
        lr.parse("constant(1)", [lambda p: p])


@pytest.mark.parametrize(
    "text",
    [
        "wsd(0.1, 1000)",
        "2 * constant(0.1)",
        "(constant(1, 2) >> constant(2, 3)) * 0.5 * linear(1, 0, 5)",
        "linear(1, 0, 5).repeat(2).clip(low=0.1) >> constant(0.1)",
        "multistep(0.1, 0.5, [3, '5%'])",
        "-linear(1, 0, 5)",
    ],
)
def test_reads_operators_and_methods(text):
    if text.startswith("-"):
        with pytest.raises(ParseError, match="expected a schedule"):
            lr.parse(text)
    else:
        assert lr.parse(text) == eval(text, dict(vars(lr)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("linear(1, 0, 5).repeet(2)", "unknown method 'repeet'; did you mean 'repeat'?"),
        ("linear(1, 0, 5).plot()", "unknown method 'plot'"),
        ("linear(1, 0, 5).__class__()", "unknown method '__class__'"),
        ("constant(1) + constant(2)", "schedules are joined by >> and *"),
        ("constant(1) * 0", "factor must be above 0"),
        ("linear(1, 0, 5).repeat(tims=2)", "unexpected keyword argument 'tims'"),
        ("one_cycle.paper(1)", "expected a schedule"),
        ("one_cycel(1)", "did you mean 'one_cycle'?"),
        ("(constant(1)).clip(low=(1, 2))", "low must be a number"),
        ("linear(1, 0, 1e400)", "length must be an integer"),
    ],
)
def test_says_what_is_wrong_with_operators_and_methods(text, words):
    with pytest.raises(ParseError) as caught:
        lr.parse(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must be read from JSON"),
        ("[" * 100_000, "must be read from JSON"),
        ('{"learnrate": "schedule", "version": 1, "schedule": {"function": [1]}}', "is not known here"),
        ("[]", "must be read from the JSON of a schedule"),
        ('{"learnrate": "curve"}', "must be read from the JSON of a schedule"),
        ('{"learnrate": "schedule", "version": 2}', "must be of version 1, received 2"),
        ('{"learnrate": "schedule", "version": 1}', "must be read from the JSON of a schedule"),
        ('{"learnrate": "schedule", "version": 1, "schedule": {"name": "cosin"}}', "a known one, received 'cosin'"),
        ('{"learnrate": "schedule", "version": 1, "schedule": {"name": "constant", "x": 1}}', "fields of constant"),
        (
            '{"learnrate": "schedule", "version": 1, "schedule": {"name": "constant", "value": -1}}',
            "value must be at least 0",
        ),
        ('{"learnrate": "schedule", "version": 1, "schedule": {"name": "constant", "value": NaN}}', "value must be finite"),
    ],
)
def test_json_that_is_no_schedule_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        lr.schedules.from_json(text)
