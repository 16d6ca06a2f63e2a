"""Schedules from text in LightningCLI: `--model.schedule "warmup(0.1, 500) >> cosine(0.1, 0, 9500)"`."""

from typing import Any

from learnrate.errors import LearnrateError
from learnrate.schedules import Schedule, parse


def register_schedule_type() -> None:
    """Let jsonargparse, and so LightningCLI, read a `learnrate.Schedule` from its text.

    Call it before LightningCLI is built. It is called when `learnrate.lightning` is imported after jsonargparse; a second
    call does nothing. A default in a signature must be the text, because jsonargparse takes a default that is an object
    apart.

    Raises:
        ModuleNotFoundError: if jsonargparse is not installed.

    Example:
        >>> import jsonargparse, learnrate as lr
        >>> lr.lightning.register_schedule_type()
        >>> parser = jsonargparse.ArgumentParser()
        >>> _ = parser.add_argument("--schedule", type=lr.Schedule)
        >>> parser.parse_args(["--schedule", "cosine(0.1, 0, 100)"]).schedule
        cosine(start=0.1, end=0.0, length=100)
    """
    from jsonargparse.typing import register_type

    register_type(
        Schedule,
        serializer=repr,
        deserializer=_read,
        type_check=lambda value, kind: isinstance(value, kind),  # the default asks for the very class
        deserializer_exceptions=(LearnrateError,),
        fail_already_registered=False,
    )


def _read(value: Any) -> Schedule:
    return value if isinstance(value, Schedule) else parse(value)
