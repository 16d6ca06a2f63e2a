"""Writes what was used into an experiment tracker: TensorBoard, Weights & Biases, MLflow, trackio, and what works like one.

No tracker is imported: `to` looks at the methods of what it is given.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from learnrate import checks, records
from learnrate.control.record import Record, export
from learnrate.errors import ArgumentError, ArgumentTypeError, LossError
from learnrate.finder import Bounds, Curve
from learnrate.schedules import Schedule
from learnrate.schedules.base import require_schedule
from learnrate.trainable import scalar
from learnrate.tuner import Plan

__all__ = ["Log", "to"]

UPDATES = "updates"
"""The name of the horizontal axis in trackers that name theirs."""

LONGEST_PARAM = 6000
"""Characters of a parameter in MLflow; longer ones are an error there."""


def to(writer: Any, *, run_id: str | None = None) -> "Log":
    """A log that writes into a tracker.

    Args:
        writer: Anything with `add_scalar` and `add_text` (TensorBoard's SummaryWriter), with `log_metric`, `log_param` and
            `log_text` (the module mlflow, or an MlflowClient), or with `log` and `config` (a run of W&B or trackio, or these
            modules, once a run has begun).
        run_id: The run, if `writer` is an MlflowClient, which does not know it; None for every other writer.

    Returns:
        The log. Many processes: only one of them should write.

    Raises:
        ArgumentError: if `run_id` is missing for an MlflowClient, or is given for something else.
        ArgumentTypeError: if `writer` is none of these.

    Example:
        >>> import learnrate as lr
        >>> class Writer:  # such as TensorBoard's
        ...     def add_scalar(self, name, value, step):
        ...         print(name, value, step)
        ...     def add_text(self, name, text, step):
        ...         print(name, text.strip(), step)
        >>> log = lr.logs.to(Writer())
        >>> log(3, lr=0.1, momentum=0.9)  # what update number 3 used
        lr 0.1 3
        momentum 0.9 3
    """
    run_id = checks.optional(checks.text)("run_id", run_id)
    if _has(writer, "add_scalar", "add_text"):
        target: Target = _TensorBoard(writer)
    elif _has(writer, "log_metric", "log_param", "log_text"):
        # The methods of an MlflowClient take the run first. It alone can create one.
        is_client = hasattr(writer, "get_run") and not hasattr(writer, "active_run")
        if is_client and run_id is None:
            raise ArgumentError("run_id must be given for an MlflowClient: to(client, run_id=run.info.run_id)")
        target = _MLflow(writer, (run_id,) if is_client and run_id is not None else ())
    elif _has(writer, "log") and hasattr(writer, "config"):
        target = _Run(writer)
    else:
        rule = "a tracker: with add_scalar and add_text, with log_metric, log_param and log_text, or with log and config"
        checks.refuse_type("writer", rule, writer, "give a SummaryWriter, a W&B or trackio run, or the module mlflow")
    if run_id is not None and not (isinstance(target, _MLflow) and target.run):
        checks.refuse("run_id", "None for anything but an MlflowClient", run_id)
    return Log(target)


class Target(Protocol):
    """What a log needs of a tracker."""

    def scalars(self, update: int, values: Mapping[str, float], axis: str) -> None:
        """Write numbers at an update, over an axis of this name."""

    def setting(self, name: str, value: str | float) -> None:
        """Write a fact of the whole run."""

    def document(self, name: str, text: str) -> None:
        """Write a long text of the whole run."""


@dataclass(frozen=True)
class Log:
    """Writes what was used into a tracker; see `to`, which makes it.

    W&B and MLflow refuse to change a fact of a run that is there already: give another `name`, for example where a resumed
    run follows another schedule.
    """

    target: Target

    def __call__(self, update: int, /, **values: Any) -> None:
        """Write what an update used.

        With `lr.torch.attach` and `lr.torch.Scheduler` the parameter groups hold the values of the next update, so call it
        before `optimizer.step()`: `log(attachment.updates, lr=optimizer.param_groups[0]["lr"])`.

        Args:
            update: Number of the update (optimizer step), counted from 0.
            **values: Numbers, or scalars of any library, by the name that they get in the tracker.

        Raises:
            ArgumentError: if `update` is negative, no value is given, or one is named "updates", as the axis is.
            ArgumentTypeError: if a value is not a number.
        """
        number = checks.whole("update", update, at_least=0, at_most=checks.LONGEST)
        if not values:
            raise ArgumentError("a log must be given at least one value, received none: log(update, lr=...)")
        if UPDATES in values:
            checks.refuse("the name of a value", f"another one than {UPDATES!r}, the name of the axis", UPDATES)
        self.target.scalars(number, {name: _number(name, value) for name, value in values.items()}, UPDATES)

    def schedule(self, schedule: Schedule, name: str = "schedule") -> None:
        """Write a schedule: the expression that rebuilds it, which `learnrate.parse` reads.

        Raises:
            ArgumentTypeError: if it is not a schedule.
        """
        text = repr(require_schedule("schedule", schedule))
        self.target.setting(checks.text("name", name), text)

    def plan(self, plan: Plan, name: str = "plan") -> None:
        """Write a plan: its schedule, peak, interval and cost as facts of the run, and its reasons.

        Raises:
            ArgumentTypeError: if it is not a plan.
        """
        checks.instance(Plan, "a learnrate.Plan")("plan", plan)
        name = checks.text("name", name)
        low, high = map(records.encode_float, plan.interval)
        facts = {"max_lr": plan.max_lr, "interval_low": low, "interval_high": high, "cost": plan.cost, "family": plan.family}
        for key, value in {"schedule": repr(plan.schedule), **facts}.items():
            self.target.setting(f"{name}/{key}", value)
        self.target.document(f"{name}/reasons", str(plan.reasons))

    def curve(self, curve: Curve, name: str = "range_test") -> None:
        """Write a range test: LR, loss and metrics over its own updates, and the bounds or the reason why there are none.

        Raises:
            ArgumentTypeError: if it is not a curve.
        """
        checks.instance(Curve, "a learnrate.Curve")("curve", curve)
        name = checks.text("name", name)
        bounds = curve.bounds()
        if isinstance(bounds, Bounds):
            for key in ("base_lr", "max_lr", "lr"):
                self.target.setting(f"{name}/{key}", getattr(bounds, key))
        self.target.document(f"{name}/reasons", "\n".join([*curve.notes, str(bounds)]))
        series = {"lr": curve.lrs, "loss": curve.losses, **curve.metrics}
        for position, update in enumerate(curve.updates.tolist()):
            values = {f"{name}/{key}": float(values[position]) for key, values in series.items()}
            self.target.scalars(update, values, f"{name}/{UPDATES}")

    def record(self, record: Record, name: str = "run", *, most: int = 10_000) -> None:
        """Write the record of a run: LR, loss, gradient norm and metrics over its updates, its events, and its schedules.

        Args:
            record: From `learnrate.Record.load`.
            name: Comes before the name of each value: "run/lr".
            most: Updates that are written at most, because trackers take up to milliseconds for each. Of a longer run these
                are the updates with the lowest and the highest loss of equal parts, its ends, and those next to an event.
                Metrics are written in full.

        Raises:
            ArgumentError: if `most` is below 2.
            ArgumentTypeError: if it is not a record.
        """
        checks.instance(Record, "a learnrate.Record")("record", record)
        name = checks.text("name", name)
        most = checks.whole("most", most, at_least=2)
        for key, text in export.texts(record).items():
            self.target.setting(f"{name}/{key}", text)
        self.target.document(f"{name}/events", export.described(record))
        axis = f"{name}/{UPDATES}"
        for update, values in export.numbers(record, most):
            self.target.scalars(update, {f"{name}/{key}": value for key, value in values.items()}, axis)
        for key, metric in record.metrics.items():
            for update, value in zip(metric.updates.tolist(), metric.values.tolist(), strict=True):
                self.target.scalars(update, {f"{name}/{key}": value}, axis)


@dataclass(frozen=True)
class _TensorBoard:
    writer: Any

    def scalars(self, update: int, values: Mapping[str, float], axis: str) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, update)

    def setting(self, name: str, value: str | float) -> None:
        self.document(name, str(value))

    def document(self, name: str, text: str) -> None:
        # TensorBoard shows Markdown, in which an indented text stands as it is.
        self.writer.add_text(name, "".join(f"    {line}\n" for line in text.splitlines()), 0)


@dataclass(frozen=True)
class _MLflow:
    writer: Any
    run: tuple[str, ...]

    def scalars(self, update: int, values: Mapping[str, float], axis: str) -> None:
        for name, value in values.items():
            self.writer.log_metric(*self.run, name, value, step=update)

    def setting(self, name: str, value: str | float) -> None:
        if len(str(value)) <= LONGEST_PARAM:
            self.writer.log_param(*self.run, name, value)
        else:
            self.document(name, str(value))

    def document(self, name: str, text: str) -> None:
        self.writer.log_text(*self.run, text, f"{name}.txt")


@dataclass(frozen=True)
class _Run:
    """A run of W&B or trackio.

    Their own step may only rise, and belongs to whoever logs first: the update is a value of its own, which is the axis.
    """

    writer: Any
    names: set[str] = field(default_factory=set)

    def scalars(self, update: int, values: Mapping[str, float], axis: str) -> None:
        if callable(getattr(self.writer, "define_metric", None)):
            for name in (axis, *values):
                if name not in self.names:
                    self.writer.define_metric(name, **({} if name == axis else {"step_metric": axis}))
        self.names.update(values, [axis])
        self.writer.log({**values, axis: update})

    def setting(self, name: str, value: str | float) -> None:
        config = self.writer.config
        if isinstance(config, dict) and self._is_sent():
            rule = "written before the first value, with which trackio sends the facts of a run"
            checks.refuse(name, rule, value, "call log.schedule and log.plan first, or give trackio.init a config")
        config.update({name: value})

    def document(self, name: str, text: str) -> None:
        self.setting(name, text)

    def _is_sent(self) -> bool:
        """Whether trackio has sent the facts of the run, as it does with the first value: later ones would be lost."""
        modules = getattr(self.writer, "context_vars", None)
        run = self.writer if modules is None else modules.current_run.get()
        return bool(getattr(run, "_config_logged", self.names))


def _has(writer: Any, *methods: str) -> bool:
    return not isinstance(writer, type) and all(callable(getattr(writer, method, None)) for method in methods)


def _number(name: str, value: Any) -> float:
    try:
        return scalar(name, value)
    except LossError as error:
        raise ArgumentTypeError(str(error)) from None
