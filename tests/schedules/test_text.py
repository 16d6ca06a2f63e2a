"""`parse`, the inverse of `repr` with a closed vocabulary, and the JSON form."""

import pickle
import time

import pytest

import learnrate as lr
from facts import facts
from learnrate.errors import ArgumentError, LearnrateError, ParseError


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
def test_parse_reads_an_expression(text, schedule):
    assert lr.parse(text) == schedule


def test_repr_omits_default_values():
    assert repr(lr.triangular2(1e-3, 6e-3, 2000)) == "triangular2(base_lr=0.001, max_lr=0.006, step_size=2000)"
    assert repr(lr.warmup(0.1, 5) >> lr.constant(0.1)) == "warmup(max_lr=0.1, length=5) >> constant(value=0.1)"


@pytest.mark.parametrize(
    ("text", "column", "fact"),
    [
        ("triangle2(1, 2, 3)", 1, "'triangular2'?"),
        ("zzz(1)", 1, "constant, cosine"),
        ("constant(0.1, 5) >> cosin(0.1, 0, 5)", 21, "'cosine'?"),
        ("constant(0.1, 5) >> 3", 21, "expected a schedule"),
        ("cosine(0.1)", 1, "'end'"),
        ("cosine(0.1, 0, lenth=3)", 16, "'length'?"),
        ("cosine(0.1, 0, open('x'))", 16, "expected a number"),
        ("constant(0.1, '5\u00a0%') >> cosin(1, 0)", 25, "'cosine'?"),
        ("(constant(0.1, 5)\n>> liner(0.1, 0, 3))", 22, "'linear'?"),
        ("linear(1, 0, 5) >> cosine(1, 0, 5).repat(3)", 36, "'repeat'?"),
        ("constant(0.1, 5) >> ", 21, "not an expression"),
        (r"cosine(0.1, 0, '\d%')", 1, "length must be"),
        ("constant(True)", 10, "expected a number"),
        ("constant(1+1)", 10, "expected a number"),
        ("constant(value=0.1, value=0.2)", None, ""),
        ("constant(**{'value': 1})", 10, "written out"),
        ("lr.constant(0.1)", 1, "expected a schedule"),
        ("linear(-1, 0, 4)", 1, "start must be at least 0"),
        ("constant(1) >> constant(2)", 1, "must be finite"),
        ("constant(0.1", 9, "not an expression: '(' was never closed"),
        ("", None, "not an expression"),
        ("  constant(0.1) >> ", None, "not an expression"),
        ("constant(0.1); constant(0.2)", 14, "not an expression"),
        ("constant(\0)", 1, ""),
        ("(" * 5000, None, ""),
        ("-" * 100_000 + "1", None, ""),
    ],
)
def test_a_parse_error_has_the_column_and_names_the_cause(text, column, fact):
    with pytest.raises(ParseError) as caught:
        lr.parse(text)
    assert f"column {caught.value.column}:" in str(caught.value)
    assert fact in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    if column is not None:
        assert caught.value.column == column


def test_parse_reads_a_long_chain():
    parts = [lr.constant(0.1, 1)] * 500
    chain = lr.schedules.Chain(parts)
    assert lr.parse(repr(chain)) == chain


def test_the_time_to_read_a_chain_grows_with_its_length():
    def seconds(parts):
        start = time.process_time()
        chain = lr.parse(" >> ".join(["linear(1, 0, 5)"] * parts))
        assert len(chain.parts) == parts
        return time.process_time() - start

    # Quadratic time would be a factor of 256.
    assert min(seconds(800) for _ in range(2)) < 64 * min(seconds(50) for _ in range(3))


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("constant(1" + "0" * 309 + ")", "value must be finite"),
        ("constant(-1" + "0" * 400 + ")", "value must be finite"),
        ("constant(0x" + "f" * 4000 + ")", "value must be finite"),
        ("linear(1, 0, 1" + "0" * 309 + ")", "length must be at most"),
        ("constant(1) * 1" + "0" * 309, "factor must be finite"),
        ("multistep(1, 0.5, (1" + "0" * 309 + ",))", "milestones[0] must be at most"),
        ("constant(1" + "0" * 5000 + ")", "column 10: a number must have less than 1000 digits"),
        ("linear(1, 0, '1e1" + "0" * 5000 + " epochs')", "1000 digits"),
        ("linear(1, 0, 5).shift(" + "9" * 5000 + ")", "1000 digits"),
    ],
    ids=lambda text: text[:30],
)
def test_a_number_of_hundreds_of_digits_is_refused(text, fact):
    with pytest.raises(ParseError) as caught:
        lr.parse(text)
    assert fact in str(caught.value)
    assert len(str(caught.value)) < 600
    assert "set_int_max_str_digits" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        " * ".join(["constant(1)"] * 2000),
        "constant(1)" + " * 0.9" * 500,
        "linear(1, 0, 5)" + ".shift(1)" * 2000,
        "linear(1, 0, 5)" + ".clip(low=0.1)" * 300,
        "(" * 2000 + "constant(1)" + ")" * 2000,
        "multistep(1, 0.5, " + "(" * 2000 + ")" * 2000 + ")",
    ],
    ids=lambda text: text[:30],
)
def test_a_deeply_nested_text_is_refused(text):
    with pytest.raises(ParseError):
        lr.parse(text)


@pytest.mark.parametrize("levels", [150, 900, 2000, 50_000])
def test_deeply_nested_json_is_refused(levels):
    inner = '{"name": "constant", "value": 1}'
    schedule = '{"name": "Shifted", "by": 1, "schedule": ' * levels + inner + "}" * levels
    with pytest.raises(ArgumentError, match=facts("nested", 100)):
        lr.schedules.from_json('{"learnrate": "schedule", "version": 1, "schedule": ' + schedule + "}")


@pytest.mark.parametrize("digits", [309, 5000])
def test_json_with_a_number_of_hundreds_of_digits_is_refused(digits):
    number = "1" + "0" * digits
    with pytest.raises(ArgumentError) as caught:
        lr.schedules.from_json(
            '{"learnrate": "schedule", "version": 1, "schedule": {"name": "constant", "value": ' + number + "}}"
        )
    assert "set_int_max_str_digits" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_what_is_read_can_be_used():
    nested = lr.constant(1.0, 5)
    for _ in range(99):
        nested = nested.shift(1)
    assert lr.parse(repr(nested)) == nested
    assert lr.schedules.from_json(nested.to_json()) == nested
    assert nested.resolve(3)(50) == 1.0


@pytest.mark.parametrize("parts", [(), (lr.constant(0.1, 1),), (1, 2)])
def test_a_chain_of_fewer_than_two_schedules_is_refused(parts):
    with pytest.raises(TypeError, match="at least two schedules"):
        lr.schedules.Chain(parts)


def test_a_parse_error_pickles():
    error = pickle.loads(pickle.dumps(ParseError("no", 3)))
    assert (str(error), error.column, isinstance(error, ArgumentError)) == ("no", 3, True)


def test_parse_refuses_what_is_not_a_text():
    with pytest.raises(ParseError, match="must be a str"):
        lr.parse(0.1)


def smoothstep(p):
    return p * p * (3 - 2 * p)


def test_a_function_at_the_top_level_of_a_module_is_printed_and_read_by_its_name():
    s = lr.custom(1.0, 0.0, smoothstep, 10) >> lr.function(smoothstep)
    name = f"{__name__}.smoothstep"
    assert repr(s) == f"custom(start=1.0, end=0.0, shape={name}, length=10) >> function(of={name})"
    assert lr.parse(repr(s), [smoothstep]) == s
    with pytest.raises(ParseError, match="functions=") as caught:
        lr.parse(repr(s))
    assert name in str(caught.value)
    assert caught.value.column == repr(s).index(name) + 1
    with pytest.raises(ArgumentError, match="functions=") as caught:
        lr.schedules.from_json(s.to_json())
    assert name in str(caught.value)


def test_a_function_without_a_name_works_but_cannot_be_written():
    s = lr.custom(1.0, 0.0, lambda p: p, 10)
    assert s(5) == 0.5
    assert "<test_a_function_without_a_name_works_but_cannot_be_written.<locals>.<lambda>>" in repr(s)
    with pytest.raises(ArgumentError, match="top level of a module"):
        s.to_json()
    with pytest.raises(TypeError, match="top level of a module"):
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
def test_parse_reads_operators_and_methods(text):
    if text.startswith("-"):
        with pytest.raises(ParseError, match="expected a schedule"):
            lr.parse(text)
    else:
        assert lr.parse(text) == eval(text, dict(vars(lr)))


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("linear(1, 0, 5).repeet(2)", "'repeat'?"),
        ("linear(1, 0, 5).plot()", "'plot'"),
        ("linear(1, 0, 5).__class__()", "'__class__'"),
        ("constant(1) - constant(2)", ">>, * and +"),
        ("constant(1) + 2", "expected a schedule"),
        ("constant(1) * 0", "factor must be above 0"),
        ("linear(1, 0, 5).repeat(tims=2)", "'tims'"),
        ("one_cycle.paper(1)", "expected a schedule"),
        ("one_cycel(1)", "'one_cycle'?"),
        ("(constant(1)).clip(low=(1, 2))", "low must be a number"),
        ("linear(1, 0, 1e400)", "length must be an integer"),
    ],
)
def test_a_parse_error_names_the_cause_in_operators_and_methods(text, fact):
    with pytest.raises(ParseError) as caught:
        lr.parse(text)
    assert fact in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("", "JSON"),
        ("[" * 100_000, "JSON"),
        ('{"learnrate": "schedule", "version": 1, "schedule": {"function": [1]}}', "function [1]"),
        ("[]", "JSON of a schedule"),
        ('{"learnrate": "curve"}', "JSON of a schedule"),
        ('{"learnrate": "schedule", "version": 2}', "must be 1, received 2"),
        ('{"learnrate": "schedule", "version": 1}', "JSON of a schedule"),
        ('{"learnrate": "schedule", "version": 1, "schedule": {"name": "cosin"}}', "received 'cosin'"),
        ('{"learnrate": "schedule", "version": 1, "schedule": {"name": "constant", "x": 1}}', "fields of constant"),
        (
            '{"learnrate": "schedule", "version": 1, "schedule": {"name": "constant", "value": -1}}',
            "value must be at least 0",
        ),
        ('{"learnrate": "schedule", "version": 1, "schedule": {"name": "constant", "value": NaN}}', "value must be finite"),
    ],
)
def test_json_that_is_not_a_schedule_is_refused(text, fact):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the fact is compared below, without a pattern
        lr.schedules.from_json(text)
    assert fact in str(caught.value)


def read_from_json(schedule):
    return lr.schedules.from_json('{"learnrate": "schedule", "version": 1, "schedule": ' + schedule + "}")


LONG = "x" * 5000


@pytest.mark.parametrize(
    "read",
    [
        lambda: lr.parse(LONG),
        lambda: lr.parse(f"{LONG}(0.1)"),
        lambda: lr.parse(f"constant(0.1, {LONG}=1)"),
        lambda: lr.parse(f"constant(0.1).clip({LONG}=1)"),
        lambda: lr.parse(f"constant(0.1).{LONG}(1)"),
        lambda: lr.parse(f"constant(0.1, {LONG})"),
        lambda: lr.parse(f"constant({LONG})", [smoothstep] * 300),
        lambda: lr.parse(f"constant('{LONG}')"),
        lambda: lr.schedules.from_json(LONG),
        lambda: lr.schedules.from_json(f'"{LONG}"'),
        lambda: read_from_json(f'{{"name": "{LONG}"}}'),
        lambda: read_from_json(f'{{"name": "constant", "{LONG}": 1}}'),
        lambda: read_from_json(f'{{"function": "{LONG}"}}'),
        lambda: read_from_json(f'"{LONG}"'),
    ],
)
def test_a_message_shows_at_most_200_characters_of_a_text(read):
    with pytest.raises(LearnrateError) as caught:
        read()
    assert len(str(caught.value)) < 600
    assert "x" * 210 not in str(caught.value)


def test_a_message_shows_at_most_200_characters_of_a_schedule():
    chain = lr.schedules.Chain([lr.linear(0.1, 0.2, 10)] * 200 + [lr.constant(0.1)])
    for refused in (lambda: chain >> chain, chain.boundaries, chain.repeat):
        with pytest.raises(LearnrateError, match=r"endless|finite") as caught:
            refused()
        assert len(str(caught.value)) < 400


def test_bytes_that_are_no_text_are_not_put_down_to_their_digits():
    with pytest.raises(ArgumentError, match=facts("JSON", "received")) as caught:
        lr.schedules.from_json(b"\xff\xfe\xfa")
    assert "digits" not in str(caught.value)
