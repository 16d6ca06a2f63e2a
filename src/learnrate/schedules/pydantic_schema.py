"""A schedule as the type of a field in a pydantic model. Only pydantic calls this, so only here is it imported."""

from pydantic_core import CoreSchema, core_schema

from learnrate import checks
from learnrate.errors import LearnrateError
from learnrate.schedules.base import Schedule
from learnrate.schedules.jsonform import from_json
from learnrate.schedules.text import parse


def core_schema_of(kind: type[Schedule]) -> CoreSchema:
    """From a schedule, its expression or its JSON to a schedule of this kind; what is dumped is the expression.

    Args:
        kind: The annotated type: `Schedule`, or the class of one kind of schedule.
    """

    def validated(value: object) -> Schedule:
        try:
            schedule = _read(value)
            return checks.instance(kind, f"a {kind.__name__}")("the schedule", schedule)
        except LearnrateError as error:
            # pydantic collects ValueErrors, and no other ones, in its own error, which names the field.
            raise ValueError(str(error)) from None

    function = core_schema.no_info_plain_validator_function(validated)
    return core_schema.json_or_python_schema(
        json_schema=core_schema.chain_schema([core_schema.str_schema(), function]),
        python_schema=function,
        # In Python, too, because pydantic would take the schedule apart, as it does with any dataclass.
        serialization=core_schema.plain_serializer_function_ser_schema(repr, return_schema=core_schema.str_schema()),
    )


def _read(value: object) -> Schedule:
    if isinstance(value, Schedule):
        return value
    text = checks.text("a schedule", value)
    return from_json(text) if text.lstrip().startswith("{") else parse(text)
