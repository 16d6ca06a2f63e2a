"""Steps that are called with a closure, which makes the gradients inside of the step."""

from collections.abc import Callable
from typing import Any


def with_closure(args: Any, kwargs: Any, decide: Callable[[], None], forget: Callable[[], None]) -> Any:
    """Decide about an update: now, or as soon as its closure has made the gradients.

    Args:
        args: The positional arguments of the step, as its pre-hook receives them, the optimizer first.
        kwargs: The others.
        decide: Called once.
        forget: Called after each further evaluation: LBFGS evaluates the model several times in an update; the first is that
            of its weights.

    Returns:
        What the pre-hook of the step returns.
    """
    positional = list(args)
    closure = kwargs.get("closure") if len(positional) < 2 else positional[1]
    if closure is None:
        decide()
        return None
    decided = False

    def observed(*arguments: Any, **options: Any) -> Any:
        nonlocal decided
        result = closure(*arguments, **options)
        if decided:
            forget()
        else:
            decided = True
            decide()
        return result

    if len(positional) < 2:
        return args, {**kwargs, "closure": observed}
    positional[1] = observed
    return tuple(positional), kwargs
