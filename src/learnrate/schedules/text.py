"""Read back what a schedule prints: a parser with a closed vocabulary. Nothing is evaluated."""

import ast
import difflib
from collections.abc import Mapping

from learnrate.errors import LearnrateError, ParseError
from learnrate.schedules.base import Schedule
from learnrate.schedules.cycles import exp_range, one_cycle, triangular, triangular2
from learnrate.schedules.ramps import constant, cosine, exponential, linear, polynomial, warmup

_SCHEDULES: tuple[type[Schedule], ...] = (
    constant,
    cosine,
    exp_range,
    exponential,
    linear,
    one_cycle,
    polynomial,
    triangular,
    triangular2,
    warmup,
)
VOCABULARY: Mapping[str, type[Schedule]] = {schedule.__name__: schedule for schedule in _SCHEDULES}


def parse(text: str) -> Schedule:
    """The schedule that a text describes; the inverse of `repr`.

    The text is read as an expression of schedule names, numbers, words in quotes and `>>`. Nothing is evaluated, so a text
    from elsewhere is safe to read.

    Args:
        text: For example "warmup(0.1, 500) >> cosine(0.1, 0, 9500)".

    Returns:
        The schedule, with `parse(repr(schedule)) == schedule`.

    Raises:
        ParseError: if the text is no such expression; the message names the column and, for an unknown name, the
            nearest one.

    Example:
        >>> parse("warmup(0.1, 500) >> cosine(0.1, 0, 9500)")
        warmup(max_lr=0.1, length=500) >> cosine(start=0.1, end=0.0, length=9500)
    """
    if not isinstance(text, str):
        raise ParseError(f"the text of a schedule must be a str, received {text!r}", 1)
    # Leading space would be an indent to the expression grammar; it is put back into the columns that errors name.
    stripped = text.lstrip()
    indent = len(text) - len(stripped)
    try:
        tree = ast.parse(stripped, mode="eval")
    except SyntaxError as error:
        raise _error(text, "not an expression", indent + (error.offset or 1)) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise _error(text, f"cannot be read ({error})", 1) from None
    return _schedule(tree.body, text, indent)


def _error(text: str, what: str, column: int) -> ParseError:
    shown = text if len(text) <= 80 else text[:77] + "..."
    return ParseError(f"not a schedule, column {column}: {what}, in {shown!r}", column)


def _fail(node: ast.AST, text: str, indent: int, what: str) -> ParseError:
    return _error(text, what, indent + getattr(node, "col_offset", 0) + 1)


def _schedule(node: ast.expr, text: str, indent: int) -> Schedule:
    # `a >> b >> c` is a tree that leans to the left, as deep as it is long: walked down in a loop, joined on the way back.
    following: list[ast.BinOp] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.RShift):
        following.append(node)
        node = node.left
    schedule = _call(node, text, indent)
    for pair in reversed(following):
        try:
            schedule = schedule >> _schedule(pair.right, text, indent)
        except ParseError:
            raise
        except LearnrateError as error:
            raise _fail(pair, text, indent, str(error)) from None
    return schedule


def _call(node: ast.expr, text: str, indent: int) -> Schedule:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        raise _fail(node, text, indent, "expected a schedule such as cosine(0.1, 0, 1000)")
    name = node.func.id
    if name not in VOCABULARY:
        near = difflib.get_close_matches(name, VOCABULARY, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(VOCABULARY)}"
        raise _fail(node, text, indent, f"unknown schedule {name!r}; {hint}")
    arguments = [_value(argument, text, indent) for argument in node.args]
    keywords: dict[str, object] = {}
    for keyword in node.keywords:
        if keyword.arg is None or keyword.arg in keywords:
            raise _fail(keyword, text, indent, "arguments must be written out, each once")
        keywords[keyword.arg] = _value(keyword.value, text, indent)
    try:
        return VOCABULARY[name](*arguments, **keywords)
    except (LearnrateError, TypeError) as error:
        # TypeError: too many or too few arguments, or a misspelt one; the constructor's own words say which.
        raise _fail(node, text, indent, str(error).replace(f"{name}.__init__()", f"{name}()")) from None


def _value(node: ast.expr, text: str, indent: int) -> float | str:
    sign = 1
    while isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        sign = -sign if isinstance(node.op, ast.USub) else sign
        node = node.operand
    if isinstance(node, ast.Constant):
        if isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
            return sign * node.value
        if isinstance(node.value, str) and sign == 1:
            return node.value
    raise _fail(node, text, indent, "expected a number or a word in quotes")
