"""Whether a result depends on an argument, read off what JAX traces."""

from collections.abc import Callable, Sequence
from typing import Any

import jax


def depends_on_first(function: Callable[..., Any], *arguments: Any) -> tuple[bool, Any]:
    """Whether any array in the result of a function depends on its first argument, which is a scalar.

    Where an operation has inner ones, such as a loop, all of its results count as dependent on all of its arguments; only
    calls of compiled functions are looked into.

    Returns:
        The answer, and the result as a tree of shapes and types.

    Example:
        >>> depends_on_first(lambda x, y: (2 * x, y), 1.0, 2.0)[0], depends_on_first(lambda x, y: (x * 0, y)[1], 1.0, 2.0)[0]
        (True, False)
    """
    traced, form = jax.make_jaxpr(function, return_shape=True)(*arguments)
    jaxpr = traced.jaxpr
    return any(_reached(jaxpr, [number == 0 for number in range(len(jaxpr.invars))])), form


def _reached(jaxpr: Any, inputs: Sequence[bool]) -> list[bool]:
    """Which results depend on those inputs that are marked."""
    reached = {variable for variable, is_reached in zip(jaxpr.invars, inputs, strict=True) if is_reached}

    def depends(variable: Any) -> bool:
        return not hasattr(variable, "val") and variable in reached  # a literal has a value, and no hash

    for equation in jaxpr.eqns:
        marked = [depends(variable) for variable in equation.invars]
        called = equation.params.get("jaxpr") if equation.primitive.name in ("jit", "pjit") else None
        outputs = [any(marked)] * len(equation.outvars) if called is None else _reached(called.jaxpr, marked)
        reached.update(variable for variable, is_reached in zip(equation.outvars, outputs, strict=True) if is_reached)
    return [depends(variable) for variable in jaxpr.outvars]
