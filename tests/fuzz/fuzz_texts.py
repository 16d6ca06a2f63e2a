"""Texts that are nearly schedules: `parse` refuses them with a `ParseError`, or reads what `repr` prints again."""

import random
from functools import cache

from fuzz_findings import Finding, finding

import learnrate as lr

TOKENS = (
    *(
        "(",
        ")",
        ",",
        ">>",
        "*",
        "**",
        "+",
        "-",
        ".",
        "=",
        "'",
        '"',
        "[",
        "]",
        "{",
        "}",
        "\\",
        "\0",
        "\n",
        "é",
        "\ud800",
        "λ",
    ),
    *("0", "1", "1e308", "1e-320", "nan", "inf", "None", "True", "'rest'", "'5%'", "'3 epochs'", "2e9", "10**9", "9" * 50),
    *(
        "constant",
        "linear",
        "cosine",
        "warmup",
        "repeat",
        "shift",
        "clip",
        "lambda",
        "__import__",
        "length",
        "max_lr",
        "#",
        "f''",
    ),
)


@cache
def texts() -> tuple[str, ...]:
    """One text of each kind of expression."""
    a, b = lr.warmup(0.1, 500), lr.cosine(0.1, 0.0, 9500)
    schedules = (
        *(a >> b, a * b, b.repeat(3, value_decay=0.5), b.clip(0.01, 0.05), b.staircase(10), b.shift(3), a.rebase(3, 4)),
        *(lr.triangular2(0.1, 0.2, 100).mirrored(0.1, 0.3), lr.one_cycle(0.1, 100), lr.multistep(0.1, 0.5, (30, 60))),
        *(lr.warm_restarts(0.1, 10, growth=2), lr.exp_range(0.1, 0.2, 10, 0.99), lr.piecewise_constant((1, 2), (3,))),
    )
    return (*map(repr, schedules), "wsd(0.1, '90%')", "warmup(0.1, '2 epochs') >> cosine(0.1, 0, 'rest')")


def case(draw: random.Random) -> Finding | None:
    text = draw.choice(texts())
    for _ in range(draw.choice((1, 1, 2, 3, 8))):
        at = draw.randrange(len(text) + 1)
        to = min(len(text), at + draw.choice((0, 0, 1, 2, 5, 20)))
        text = text[:at] + draw.choice((*TOKENS, draw.choice(texts()))) + text[to:]

    def read() -> None:
        schedule = lr.parse(text)
        if lr.parse(repr(schedule)) != schedule:
            raise ValueError("repr is another schedule")

    result = finding(read)
    return result and result.of(f"parse({text!r})")
