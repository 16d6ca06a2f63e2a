"""Changes that a person asks for: values that can be checked, shown before they are applied, and sent between processes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

from learnrate import checks
from learnrate.checks import checked, frozen
from learnrate.control.events import Kind
from learnrate.errors import ArgumentError
from learnrate.schedules import Horizon, Schedule, cosine, linear, one_minus_sqrt, parse
from learnrate.schedules.base import known_length

LARGEST = 1e6
"""The largest factor by which a person may change an LR at once. What is beyond it is a slip of the keyboard."""

Shape = Literal["linear", "cosine", "one_minus_sqrt"]
"""The shape of a cooldown."""

_SHAPES = {"linear": linear, "cosine": cosine, "one_minus_sqrt": one_minus_sqrt}


@dataclass(frozen=True)
class InForce:
    """What a run follows.

    Attributes:
        schedules: The schedules without the factors, one for all parameter groups or one for each; they count from the start
            of the run.
        factor: The factor that was set by hand.
    """

    schedules: tuple[Schedule, ...]
    factor: float = 1.0


class Request(Protocol):
    """A change that is applied between two updates."""

    @property
    def kind(self) -> Kind:
        """What it is in the record."""

    def applied(self, present: InForce, update: int) -> InForce:
        """What is in force afterwards.

        Args:
            present: What is in force now.
            update: The first update with the change.

        Raises:
            ArgumentError: if it cannot be applied.
        """

    def __str__(self) -> str:
        """The request in words."""


class _Checked:
    def __post_init__(self) -> None:
        checks.check_fields(self)


@frozen
class Scale(_Checked):
    """Multiply the LR, from the next update on.

    Args:
        factor: Above 0, and at most a million.
    """

    factor: float = checked(checks.positive)

    kind: ClassVar[Kind] = "scale"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 / LARGEST <= self.factor <= LARGEST:
            checks.refuse("factor", f"within {1 / LARGEST:g} and {LARGEST:g}", self.factor, "set another schedule instead")

    def applied(self, present: InForce, update: int) -> InForce:
        """See `Request.applied`."""
        return InForce(present.schedules, present.factor * self.factor)

    def __str__(self) -> str:
        return f"the LR times {self.factor:.6g}"


@frozen
class Replace(_Checked):
    """Follow another schedule, from the next update on. The controllers begin again, and the factor set by hand is 1.

    Args:
        schedule: The text of the schedule.
        begins: "now": it counts from the next update; "start": it counts from the start of the run. Lengths in percent, and
            "rest", are those of what it counts: the rest of the run, or all of it.
    """

    schedule: str = checked(checks.text)
    begins: Literal["now", "start"] = "now"

    kind: ClassVar[Kind] = "replace"

    def __post_init__(self) -> None:
        super().__post_init__()
        parse(self.schedule)

    def applied(self, present: InForce, update: int) -> InForce:
        """See `Request.applied`."""
        schedule = parse(self.schedule)
        if not schedule.is_resolved:
            schedule = schedule.resolve(self._horizon(present, update))
        return InForce((schedule.shift(update) if self.begins == "now" and update else schedule,))

    def _horizon(self, present: InForce, update: int) -> Horizon:
        length = known_length(present.schedules[0])
        left = None if length is None else length - (update if self.begins == "now" else 0)
        if left is None or left < 1:
            raise ArgumentError(
                f"the schedule must have its lengths in updates where the present one has no end after update {update}, "
                f"received {self.schedule}"
            )
        return Horizon(left)

    def __str__(self) -> str:
        return f"the schedule {self.schedule}, counted from {'here' if self.begins == 'now' else 'the start of the run'}"


@frozen
class Cooldown(_Checked):
    """Begin the cooldown with the next update: from the LR in force down to `end`. Factors stay.

    Args:
        length: Its length in updates, at least 1.
        end: The last LR, at least 0, before factors.
        shape: "linear", "cosine" or "one_minus_sqrt" (Haegele et al., arXiv 2405.18392).
    """

    length: int = checked(checks.length)
    end: float = checked(checks.rate, default=0.0)
    shape: Shape = "linear"

    kind: ClassVar[Kind] = "cooldown"

    def applied(self, present: InForce, update: int) -> InForce:
        """See `Request.applied`."""
        fall = _SHAPES[self.shape]
        starts = [schedule(update) for schedule in present.schedules]
        if min(starts) <= self.end:
            checks.refuse("end", f"below the LR of the schedule at update {update}, {min(starts):.6g}", self.end)
        falls = (fall(start, self.end, self.length) for start in starts)
        return InForce(tuple(cooldown.shift(update) if update else cooldown for cooldown in falls), present.factor)

    def __str__(self) -> str:
        return f"a {self.shape} cooldown to {self.end:.6g} within {self.length} updates"


@frozen
class Undo(_Checked):
    """Take the last change back, from the next update on: one by hand, or a cooldown that a controller began.

    If it was another schedule, the controllers go on with the states and factors that they had before it.
    """

    kind: ClassVar[Kind] = "undo"

    def applied(self, present: InForce, update: int) -> InForce:
        """Not changed: what was before is known to the control alone."""
        return present

    def __str__(self) -> str:
        return "the last change by hand undone"


@frozen
class Stop(_Checked):
    """End the run after the present update."""

    kind: ClassVar[Kind] = "stop"

    def applied(self, present: InForce, update: int) -> InForce:
        """Not changed."""
        return present

    def __str__(self) -> str:
        return "the end of the run"


AnyRequest: TypeAlias = Scale | Replace | Cooldown | Undo | Stop


def require_request(value: object) -> AnyRequest:
    """The check of a request.

    Raises:
        ArgumentTypeError: if it is something else.
    """
    if not isinstance(value, (Scale, Replace, Cooldown, Undo, Stop)):
        remedy = f"write {value.__name__}(...)" if isinstance(value, type) else "such as learnrate.control.Scale(0.5)"
        checks.refuse_type("a request", "a request of learnrate.control", value, remedy)
    return value


_KINDS: Mapping[str, type[AnyRequest]] = {cls.kind: cls for cls in (Scale, Replace, Cooldown, Undo, Stop)}


def to_json(request: AnyRequest) -> dict[str, Any]:
    """A request as a JSON object."""
    return {"kind": request.kind, **asdict(request)}


def from_json(content: object) -> AnyRequest:
    """Read a request: `{"kind": "scale", "factor": 0.5}`.

    Raises:
        ArgumentError: if it is no request, or an argument breaks its rule.
        ArgumentTypeError: if an argument is of the wrong type.
    """
    kind = content.get("kind") if isinstance(content, Mapping) else None
    if not isinstance(content, Mapping) or not isinstance(kind, str) or kind not in _KINDS:
        checks.refuse("the kind of a request", f"one of {', '.join(_KINDS)}", kind)
    arguments = {str(name): value for name, value in content.items() if name != "kind"}
    try:
        return _KINDS[kind](**arguments)
    except TypeError as error:
        if type(error) is not TypeError:
            raise
        raise ArgumentError(f"the arguments of {kind} must be its own: {checks.short(str(error))}") from None
