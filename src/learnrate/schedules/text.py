"""Read the printed form of a schedule: a parser with a closed vocabulary. Nothing is evaluated."""

import ast
import inspect
import math
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from learnrate import checks
from learnrate.errors import LearnrateError, ParseError
from learnrate.schedules import functions as named_functions
from learnrate.schedules.base import Schedule
from learnrate.schedules.chain import chained
from learnrate.schedules.functions import Function
from learnrate.schedules.tree import MOST_NESTED, depth
from learnrate.schedules.vocabulary import METHODS, RUNS, SCHEDULES

_TOO_LONG = re.compile(r"[0-9_]{1000}")
"""More digits than a number needs. Python refuses to read a few thousand of them."""


def parse(text: str, functions: Iterable[Function] = ()) -> Schedule:
    """Read a schedule from a text; the inverse of `repr`.

    The text is an expression of schedule names, their methods, numbers, words in quotes, `>>`, `*` and `+`. Nothing is
    evaluated, so it is safe to read a text from an unknown source.

    Args:
        text: For example "warmup(0.1, 500) >> cosine(0.1, 0, 9500)".
        functions: Your own functions that the text may name, as `custom` and `function` print them: "module.name".

    Returns:
        The schedule, with `parse(repr(schedule)) == schedule`.

    Raises:
        ParseError: if the text is not such an expression; the message names the column and, for an unknown name, the
            nearest known name.

    Example:
        >>> parse("warmup(0.1, '5%') >> (cosine(0.1, 0) * 0.5).clip(low=0.01)")
        warmup(max_lr=0.1, length='5%') >> (cosine(start=0.1, end=0.0) * 0.5).clip(low=0.01)
    """
    if not isinstance(text, str):
        raise ParseError(f"the text of a schedule must be a str, received {checks.shown(text)}", 1)
    # Leading space would be an indent in the grammar of Python; errors add it to their columns again.
    stripped = text.lstrip().replace("\n", " ").replace("\r", " ")
    reader = _Reader(text, len(text) - len(stripped), named_functions.by_name(functions))
    if number := _TOO_LONG.search(text):
        raise reader.error("a number must have less than 1000 digits", number.start() + 1)
    try:
        with warnings.catch_warnings(action="ignore"):  # warnings of Python about escapes and operators
            tree = ast.parse(stripped, mode="eval")
    except SyntaxError as error:
        at = 1 if error.offset is None else error.offset or len(stripped) + 1  # 0 is the end of the text
        reason = "" if error.msg in ("", "invalid syntax") else f": {error.msg}"  # such as "'(' was never closed"
        raise reader.error(f"not an expression{reason}", reader.indent + at) from None
    except RecursionError:
        raise reader.error(f"nested more than {MOST_NESTED} levels deep", 1) from None
    except (ValueError, MemoryError) as error:
        raise reader.error(f"cannot be read ({error})", 1) from None
    try:
        schedule = reader.schedule(tree.body)
        if depth(schedule) <= MOST_NESTED:
            return schedule
    except RecursionError:
        pass
    raise reader.error(f"nested more than {MOST_NESTED} levels deep", 1)


@dataclass(frozen=True)
class _Reader:
    """Builds schedules from the nodes of one text."""

    text: str
    indent: int
    functions: Mapping[str, Function]

    def error(self, message: str, column: int) -> ParseError:
        text = self.text if len(self.text) <= 80 else self.text[:77] + "..."
        return ParseError(f"not a schedule: {text!r}, column {column}: {message}", column)

    def error_at(self, node: ast.AST, message: str) -> ParseError:
        bytes_before: int = getattr(node, "col_offset", 0)
        return self.error(message, self.indent + self._characters(bytes_before) + 1)

    def _characters(self, offset: int) -> int:
        """Number of characters for an offset of the syntax tree, which counts bytes."""
        return len(self.text[self.indent :].encode()[:offset].decode(errors="ignore"))

    def build(self, node: ast.AST, make: Callable[[], Schedule]) -> Schedule:
        """The result of `make`. An error that it raises becomes an error at this node."""
        try:
            return make()
        except ParseError:
            raise
        except (LearnrateError, TypeError) as error:
            # TypeError: too many, too few or misspelt arguments, which the message of the constructor names.
            message = str(error).replace(".__init__()", "()").replace("Schedule.", ".")
            message = checks.short(message) if isinstance(error, TypeError) else message
            raise self.error_at(node, message) from None

    def schedule(self, node: ast.expr) -> Schedule:
        # The tree of `a >> b * 2 >> c` leans to the left and is as deep as the chain is long, so a loop, not a recursion,
        # goes down to the first schedule, and applies the operators on the way back.
        steps: list[tuple[ast.expr, Callable[[Schedule], Schedule]]] = []
        while True:
            step = self.operator(node) or self.method(node)
            if step is None:
                break
            node, apply = step
            steps.append((node, apply))
        schedule = self.call(node)
        for at, apply in reversed(steps):
            schedule = self.build(at, lambda apply=apply, schedule=schedule: apply(schedule))  # type: ignore[misc]
        return schedule

    def chain(self, node: ast.BinOp) -> Schedule:
        """The schedules around the `>>` of `a >> b >> c`. They are joined once: one by one takes quadratic time."""
        operands: list[ast.expr] = []
        left: ast.expr = node
        while isinstance(left, ast.BinOp) and isinstance(left.op, ast.RShift):
            operands.append(left.right)
            left = left.left
        parts = [self.schedule(operand) for operand in (left, *reversed(operands))]
        return self.build(left, lambda: chained(parts))

    def operator(self, node: ast.expr) -> "tuple[ast.expr, Callable[[Schedule], Schedule]] | None":
        if not isinstance(node, ast.BinOp) or isinstance(node.op, ast.RShift):
            return None
        right = node.right
        if isinstance(node.op, ast.Add):
            return node.left, lambda schedule: schedule + self.schedule(right)
        if not isinstance(node.op, ast.Mult):
            raise self.error_at(node, "schedules are joined by >>, * and +")
        if self.is_number(node.left):
            factor = self.value(node.left)
            return right, lambda schedule: factor * schedule
        return node.left, lambda schedule: schedule * (self.value(right) if self.is_number(right) else self.schedule(right))

    def method(self, node: ast.expr) -> "tuple[ast.expr, Callable[[Schedule], Schedule]] | None":
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            return None
        name = node.func.attr
        if isinstance(node.func.value, ast.Name):
            raise self.error_at(node, "expected a schedule such as cosine(0.1, 0, 1000)")
        if name not in METHODS:
            column = self.indent + self._characters((node.func.end_col_offset or 0) - len(name)) + 1
            raise self.error(f"unknown method {checks.shown(name)}; {self.nearest(name, METHODS)}", column)
        arguments, keywords = self.arguments(node)
        return node.func.value, lambda schedule: getattr(schedule, name)(*arguments, **keywords)

    def call(self, node: ast.expr) -> Schedule:
        if isinstance(node, ast.BinOp):
            return self.chain(node)
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            raise self.error_at(node, "expected a schedule such as cosine(0.1, 0, 1000)")
        name = node.func.id
        make = SCHEDULES.get(name) or RUNS.get(name)
        if make is None:
            raise self.error_at(node, f"unknown schedule {checks.shown(name)}; {self.nearest(name, (*SCHEDULES, *RUNS))}")
        arguments, keywords = self.arguments(node)
        parameters = tuple(inspect.signature(make).parameters)
        for keyword in node.keywords:
            if keyword.arg not in parameters:
                unexpected = f"unexpected argument {checks.shown(keyword.arg)} of {name}"
                raise self.error_at(keyword, f"{unexpected}; {self.nearest(str(keyword.arg), parameters)}")
        return self.build(node, lambda: make(*arguments, **keywords))

    def nearest(self, name: str, names: tuple[str, ...]) -> str:
        more = f" and {len(names) - 6} more, see learnrate.schedules" if len(names) > 6 else ""
        return checks.did_you_mean(name, names, f"known names: {', '.join(names[:6])}{more}")

    def arguments(self, node: ast.Call) -> tuple[list[Any], dict[str, Any]]:
        keywords: dict[str, Any] = {}
        for keyword in node.keywords:
            if keyword.arg is None or keyword.arg in keywords:
                raise self.error_at(keyword, "each argument must be written out, and only once")
            keywords[keyword.arg] = self.value(keyword.value)
        return [self.value(argument) for argument in node.args], keywords

    def is_number(self, node: ast.expr) -> bool:
        while isinstance(node, ast.UnaryOp):
            node = node.operand
        return isinstance(node, ast.Constant)

    def value(self, node: ast.expr) -> Any:
        if isinstance(node, (ast.Tuple, ast.List)):
            return tuple(
                self.schedule(element) if isinstance(element, (ast.Call, ast.BinOp)) else self.value(element)
                for element in node.elts
            )
        if isinstance(node, (ast.Name, ast.Attribute)):
            return self.function(node)
        sign, unsigned = 1, node
        while isinstance(unsigned, ast.UnaryOp) and isinstance(unsigned.op, (ast.USub, ast.UAdd)):
            sign = -sign if isinstance(unsigned.op, ast.USub) else sign
            unsigned = unsigned.operand
        if isinstance(unsigned, ast.Constant):
            value = unsigned.value
            if isinstance(value, int) and not isinstance(value, bool):
                return sign * value
            if isinstance(value, float) and not math.isnan(value):
                return sign * value
            if (value is None or isinstance(value, str)) and unsigned is node:
                return value
        raise self.error_at(node, "expected a number or a word in quotes")

    def function(self, node: ast.expr) -> Function:
        name = ast.unparse(node)
        if name not in self.functions:
            names = checks.short(", ".join(self.functions))
            remedy = f"known names: {names}" if names else "give it: parse(text, functions=[...])"
            unknown = f"{checks.shown(name)} is unknown, {remedy}"
            error = self.error_at(node, f"expected a number, a word in quotes or a function; {unknown}")
            error.function = name
            raise error
        return self.functions[name]
