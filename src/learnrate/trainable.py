"""The contract between algorithms and frameworks: what a training must offer to be tested, tuned and compared.

`range_test`, `tune` and comparisons drive a `Trainable` and nothing else. An adapter makes one from the objects of its
framework; docs/extending.md shows a whole adapter.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeVar, runtime_checkable

from learnrate import checks
from learnrate.errors import ArgumentTypeError, DataError
from learnrate.metrics import Metrics as Metrics
from learnrate.metrics import first_finite as first_finite
from learnrate.metrics import scalar as scalar
from learnrate.metrics import scalars as scalars
from learnrate.metrics import scores as scores
from learnrate.traits import LR_DRIFT as LR_DRIFT
from learnrate.traits import OptimizerTraits as OptimizerTraits

T = TypeVar("T")

NOISE_BATCHES = 10
"""Batches that show the noise scale of the gradient within a factor of about two."""


class _Skipped:
    def __repr__(self) -> str:
        return "SKIPPED"


SKIPPED: Final = _Skipped()
"""What `Trainable.update` returns when a gradient scaler skipped the update. The same LR is tried again."""


@dataclass(frozen=True)
class LeftOut:
    """What `Trainable.update` returns where the loss of its batch is not finite, and nothing was changed.

    The same LR is tried with the next batch, because only the same weights show whether the batch is at fault.

    Attributes:
        loss: The loss: NaN or infinite.
    """

    loss: float


class ExhaustedError(DataError):
    """The batches have run out and cannot be started again."""


class NotBatchableError(Exception):
    """Several trials cannot be trained as one batch. The text is the reason: "The trials ran one by one: {reason}."."""


class NotProbedError(Exception):
    """There is no probe for a training. The text is the reason: "no answer: {reason}."."""


class NoSnapshotError(Exception):
    """A training cannot go back to earlier weights and go on with its data. The text is the reason."""


class NotResumableError(Exception):
    """A training cannot go on in another process. The text is the reason: "it starts again: {reason}."."""


@dataclass(frozen=True)
class Reading:
    """How often the metrics of updates are read.

    Reading a metric that lies on a device waits for the device, so the metrics of several updates are read together. If one
    of these updates ends the series, those after it were unnecessary.

    Attributes:
        every: Read after this number of updates.
        within: Read after this time in seconds in any case, so that few slow updates are unnecessary; may be infinite.

    Raises:
        ArgumentError: if `every` is below 1, or `within` is not at least 0.
        ArgumentTypeError: if one of them is not a number.
    """

    every: int = 1
    within: float = 0.01

    def __post_init__(self) -> None:
        checks.length("every", self.every)
        if not checks.number("within", self.within) >= 0:
            checks.refuse("within", "at least 0", self.within)


class Ensemble(Protocol):
    """Several copies of a training, each at its own LR, which are trained together as one batch."""

    def update(self, lrs: Sequence[float | None]) -> Sequence[Metrics]:
        """Make one update of each member on the same data.

        Args:
            lrs: The LR of each member; None ends the training of this member for good.

        Returns:
            The metrics of each member, "loss" among them; empty for members that have ended.
        """

    def evaluate(self) -> Sequence[float | Mapping[str, float] | None]:
        """The evaluation of each member; None for members that have ended, and if there is no evaluation."""


ProbeMethod = Literal[
    "prodigy", "prodigy-radam", "prodigy-adagrad", "prodigy-adafactor", "prodigy-muon", "prodigy-mixed", "dowg"
]
"""How a probe finds its step sizes; `METHODS` in `learnrate/tuner/probe.py` says which LR follows from them."""


class Probing(Protocol):
    """A training whose every update takes an LR that follows from the gradients and weights so far.

    Attributes:
        method: How the LR is found.
        maximize: Whether the loss is to rise.
    """

    method: ProbeMethod
    maximize: bool

    def update(self) -> Any:
        """Make one update. Returns what `Trainable.update` returns."""

    def lr(self) -> float:
        """The step size of the last update: its LR, unless the optimizer shortens its steps with their number."""

    def scale(self, updates: int) -> float:
        """The factor from a step size to the LR of a training run of this length.

        1 - momentum, as momentum adds up steps; higher for an optimizer that shortens its steps in the course of the run.
        """


@runtime_checkable
class Trainable(Protocol):
    """A model, its optimizer and its data, as range test, tuner and comparisons see them.

    An adapter subclasses it and writes `update`, `save` and `restore`. The other members have defaults that suit a training
    in one process whose metrics are plain numbers; an adapter overrides those that differ.

    Example:
        >>> class Quadratic(Trainable):
        ...     weight = 1.0
        ...     def update(self, lr):
        ...         loss = self.weight**2
        ...         self.weight -= lr * 2 * self.weight
        ...         return loss
        ...     def save(self):
        ...         return self.weight
        ...     def restore(self, state):
        ...         self.weight = state
        >>> trainable = Quadratic()
        >>> trainable.update(0.25), trainable.weight, trainable.read([0.5])
        (1.0, 0.5, [{'loss': 0.5}])
    """

    reading: Reading = Reading()
    """How often `read` is called."""

    traits: OptimizerTraits = OptimizerTraits()
    """What the tuner has to know about the optimizer."""

    def update(self, lr: float) -> Any:
        """Make one update (optimizer step) at this LR.

        Returns:
            The loss that the update saw before it changed the model, or a mapping with the key "loss" and further metrics.
            Scalars of any library, which may still lie on a device. `SKIPPED` or `LeftOut` if no update was made.

        Raises:
            ExhaustedError: if there is no batch left, and the data cannot be started again.
        """
        ...

    def save(self) -> Any:
        """Copy everything that training changes: weights, optimizer state, random numbers, position in the data."""
        ...

    def restore(self, state: Any) -> None:
        """Put back what `save` returned. The same state may be restored many times."""
        ...

    def release(self, state: Any) -> None:
        """Free what `save` returned; called once, after the last `restore`."""
        return

    def read(self, metrics: Sequence[Any]) -> Sequence[Metrics]:
        """Convert what several updates returned to Python floats. Many processes return the mean over all of them."""
        return [scalars(returned) for returned in metrics]

    def agree(self, decision: T | None) -> T | None:
        """Make one decision for all processes: the decision of the first process that has one, None if no process has one.

        Called by every process, at the same places, with values that can be pickled.
        """
        return decision

    def evaluate(self) -> float | Mapping[str, float] | None:
        """How good the model is now, higher is better.

        The model, its modes and its random numbers stay as they are.

        Returns:
            A number, or several by name, of which the first decides; None if there is no evaluation.
        """
        return None

    def updates_per_epoch(self) -> int | None:
        """Number of updates in an epoch; None if it is not known (yet)."""
        return None

    def batch_size(self) -> int | None:
        """Number of examples in an update, over all processes; None if it is not known (yet)."""
        return None

    def noise_scale(self, batches: int = NOISE_BATCHES) -> float | None:
        """The batch size in examples at which the noise of the gradient is as large as the gradient; None if not known.

        tr(S) / |G|^2 at the present weights (McCandlish et al., arXiv 1812.06162, section 2.2), from the batches of the next
        updates, each for about the cost of an update. Nothing else than the position in the data may change.
        """
        return None

    def current_lr(self) -> float | None:
        """The LR that the optimizer has now, the largest if groups differ; None if it is not known."""
        return None

    def notes(self, updates: int) -> Sequence[str]:
        """Sentences for the notes of a curve about the first `updates` updates since the last `restore`."""
        return ()

    def ensemble(self, count: int) -> Ensemble:
        """Copies of this training that start from its present state and are trained as one batch.

        The trainable itself must be restored before it is used again.

        Raises:
            NotBatchableError: if that is not possible or would not be faster.
        """
        raise NotBatchableError("this kind of training cannot be batched")

    def probing(self) -> AbstractContextManager[Probing]:
        """This training without an LR: inside the context, each update of what it returns takes an LR of its own.

        Raises:
            NotProbedError: if there is no such probe for its optimizer.
        """
        raise NotProbedError("this kind of training has no LR-free probe")

    def checkpoint(self) -> Any:
        """Everything that training has changed, in a form that can be pickled, to go on in another process.

        A training that was built in the same way (same recipe, same seed, same versions, same kind of device) and has called
        `resume(checkpoint)` makes the same updates from here on as this one, bit for bit. This training is not changed, nor
        are random numbers.

        Call it once before the first update, too: from then on a training keeps what later checkpoints need to find the
        position in the data, which trainings without checkpoints need not pay for. `resume` does so by itself.

        Raises:
            NotResumableError: if it is not possible. Such a training starts again.
        """
        # What `save` returns is no default: after `restore` many trainings draw their batches from the beginning.
        raise NotResumableError("this kind of training has no checkpoints")

    def resume(self, checkpoint: Any) -> None:
        """Go on from what `checkpoint` returned; called before the first update.

        Raises:
            NotResumableError: if the checkpoint is that of another training, or its data cannot be brought to its place.
        """
        raise NotResumableError("this kind of training has no checkpoints")

    def snapshot(self) -> Any:
        """Copy what a rollback puts back: weights, averages of batch norms and the like, and the state of the optimizer.

        Unlike what `save` returns it has neither random numbers nor the position in the data, because a training goes
        on with its next batch after a rollback. A training that has checkpoints returns something that can be pickled.

        Raises:
            NoSnapshotError: if it is not possible. Then such a training cannot have a guard.
        """
        raise NoSnapshotError("this kind of training cannot put weights back without its data and random numbers")

    def put_back(self, snapshot: Any) -> None:
        """Put back what `snapshot` returned. The same one may be put back many times."""
        raise NoSnapshotError("this kind of training cannot put weights back without its data and random numbers")

    def measure_gradient_norm(self) -> bool:
        """Let each later update also return "gradient_norm", the norm over all parameters before gradients are clipped.

        Returns:
            Whether it does.
        """
        return False

    def fingerprint(self) -> str | None:
        """A short hash of the weights now: 16 hexadecimal digits of SHA-256; None if it is not known.

        It shows that two trainings start, or end, with the same weights.
        """
        return None


REQUIRED = ("update", "save", "restore")
MEMBERS = (
    *REQUIRED,
    *("release", "read", "agree"),
    *("evaluate", "updates_per_epoch", "batch_size", "noise_scale", "current_lr", "notes", "ensemble", "probing"),
    *("checkpoint", "resume", "snapshot", "put_back", "measure_gradient_norm", "fingerprint"),
)


NAMED_MEMBERS = 8
"""Missing members that an error names: an object that is something else has none of them."""


class Step(Trainable):
    """A function from an LR to a loss as a `Trainable`. What the function changes cannot be restored."""

    def __init__(self, step: Callable[[float], Any]) -> None:
        self._step = step

    def update(self, lr: float) -> Any:
        """Call the function."""
        return self._step(lr)

    def save(self) -> None:
        """Return None, because the state of the function is not known."""

    def restore(self, state: None) -> None:
        """Do nothing."""


def require_trainable(name: str, value: object) -> None:
    """Refuse what is not a `Trainable`.

    Raises:
        ArgumentTypeError: if it is a class, or members are missing or of the wrong type.
    """
    if isinstance(value, type):
        remedy = f"create an object, {value.__name__}()"
        raise ArgumentTypeError(f"{name} must be an object, received the class {value.__name__}: {remedy}")
    missing = [member for member in MEMBERS if not callable(getattr(value, member, None))]
    # A subclass inherits them without a body: nothing would be trained, or nothing put back.
    missing += [member for member in REQUIRED if getattr(type(value), member, None) is getattr(Trainable, member)]
    missing += [member for member in ("reading", "traits") if not hasattr(value, member)]
    if missing:
        more = len(missing) - NAMED_MEMBERS
        listed = ", ".join(missing[:NAMED_MEMBERS]) + (f" and {more} more members" if more > 0 else "")
        raise ArgumentTypeError(
            f"{name} must be a learnrate.Trainable, received {checks.shown(value)} without {listed}: "
            "make its class a subclass of learnrate.Trainable, which has defaults for all but update, save and restore"
        )
    for member, kind in {"reading": Reading, "traits": OptimizerTraits}.items():
        if not isinstance(getattr(value, member), kind):
            checks.refuse_type(f"{name}.{member}", f"a learnrate.trainable.{kind.__name__}", getattr(value, member))


@contextmanager
def restored(trainable: Trainable) -> Iterator[Any]:
    """Save a trainable, and at the end restore it and release the saved state, whatever happened in between.

    Enter it by `interrupts.within`, so that Ctrl-C cannot keep it from being restored.
    """
    state = trainable.save()
    try:
        yield state
    finally:
        try:
            trainable.restore(state)
        finally:
            trainable.release(state)


def updates_per_epoch(trainable: Trainable) -> int | None:
    """`Trainable.updates_per_epoch`, checked.

    Raises:
        ArgumentError: if it is below 1.
        ArgumentTypeError: if it is no integer.
    """
    number = trainable.updates_per_epoch()
    return None if number is None else checks.length("updates_per_epoch() of trainable", number)
