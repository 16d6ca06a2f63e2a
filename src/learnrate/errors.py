"""Every error that learnrate raises on purpose.

    LearnrateError
    ├── ArgumentError        (ValueError)    an argument breaks its rule
    │   ├── ParseError                       a text is not a schedule; has the column of the error
    │   └── UnresolvedError                  a length of the schedule depends on the run
    ├── ArgumentTypeError    (TypeError)     an argument has the wrong type
    ├── UnknownArmError      (KeyError)      a comparison has no arm of this name
    ├── RecipeError          (ValueError)    a recipe file is missing or broken, or returns no recipe
    ├── DataError            (ValueError)    the batches cannot be used for the run
    │   └── trainable.ExhaustedError         the batches have run out
    ├── LossError            (RuntimeError)  the result of a training step is not a usable loss
    ├── NoAnswerError        (RuntimeError)  the evidence is not sufficient for an answer; says what would be
    ├── GaveUpError          (RuntimeError)  a guard has given the run up; has its report
    ├── FailedTrainingsError (RuntimeError)  trainings of a study raised errors
    ├── RankError            (RuntimeError)  one of several processes failed
    ├── ExecutorError        (RuntimeError)  what makes the runs of a study cannot make further ones
    ├── AlreadyDrivenError   (RuntimeError)  something else drives this LR
    ├── OutputError          (OSError)       a result cannot be written or read
    └── MissingExtraError    (ImportError)   an optional dependency is not installed

Each is also a subclass of the fitting built-in error, so that code that does not know learnrate can catch it.
A message names the argument, the rule, the value received and the remedy.
"""


class LearnrateError(Exception):
    """Base class of all errors that learnrate raises."""


class ArgumentError(LearnrateError, ValueError):
    """The value of an argument breaks its rule."""


class ParseError(ArgumentError):
    """A text is not a schedule.

    Attributes:
        column: Position of the error in the text, counted from 1.
        function: The name that the text gives as that of a function, if no function of this name is there.
    """

    def __init__(self, message: str, column: int, function: str | None = None) -> None:
        super().__init__(message)
        self.column, self.function = column, function

    def __reduce__(self) -> tuple[type["ParseError"], tuple[str, int, str | None]]:
        return type(self), (str(self), self.column, self.function)


class UnresolvedError(ArgumentError):
    """A length of the schedule, such as "5%", depends on the run: call `schedule.resolve` first."""


class ArgumentTypeError(LearnrateError, TypeError):
    """An argument has the wrong type."""


class UnknownArmError(LearnrateError, KeyError):
    """A comparison has no arm of this name."""

    __str__ = Exception.__str__  # that of KeyError would print the message as Python code, in quotes


class RecipeError(LearnrateError, ValueError):
    """A recipe file is missing or broken, or does not return a recipe."""


class DataError(LearnrateError, ValueError):
    """The batches cannot be used for the run."""


class LossError(LearnrateError, RuntimeError):
    """The result of a training step is not a usable loss."""


class NoAnswerError(LearnrateError, RuntimeError):
    """The evidence is not sufficient for an answer.

    Attributes:
        reason: What the evidence shows, in one sentence.
        remedy: What would give an answer, in one sentence.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"no answer: {reason} {remedy}")
        self.reason = reason
        self.remedy = remedy

    def __reduce__(self) -> tuple[type["NoAnswerError"], tuple[str, str]]:
        return type(self), (self.reason, self.remedy)


class GaveUpError(LearnrateError, RuntimeError):
    """A guard has given the run up. Model and optimizer are those of the last good snapshot.

    Attributes:
        report: What happened, a line for each thing that the guard did.
    """

    def __init__(self, message: str, report: str = "") -> None:
        super().__init__(message)
        self.report = report

    def __reduce__(self) -> tuple[type["GaveUpError"], tuple[str, str]]:
        return type(self), (str(self), self.report)


class FailedTrainingsError(LearnrateError, RuntimeError):
    """Trainings of a study raised errors. The others are complete, and are kept where the study is."""


class RankError(LearnrateError, RuntimeError):
    """One of several processes failed, and all of them stopped.

    Attributes:
        rank: Rank of the process that failed; None if it is not known.
    """

    def __init__(self, message: str, rank: int | None) -> None:
        super().__init__(message)
        self.rank = rank

    def __reduce__(self) -> tuple[type["RankError"], tuple[str, int | None]]:
        return type(self), (str(self), self.rank)


class ExecutorError(LearnrateError, RuntimeError):
    """What makes the runs of a study, such as a cluster, is gone. The study can be continued."""


class AlreadyDrivenError(LearnrateError, RuntimeError):
    """Something else drives this hyper-parameter of the optimizer."""


class OutputError(LearnrateError, OSError):
    """A result cannot be written or read."""


class MissingExtraError(LearnrateError, ImportError):
    """An optional dependency is not installed."""


class LearnrateWarning(UserWarning):
    """Base class of all warnings that learnrate issues."""


class NotRewoundWarning(LearnrateWarning):
    """Items are taken from an iterator, which cannot be set back to its earlier position."""


class PastEndWarning(LearnrateWarning):
    """A finite schedule is driven past its last update; it holds its end value."""


class OverruledWarning(LearnrateWarning):
    """Something else changed a hyper-parameter that a schedule drives."""


class OtherScheduleWarning(LearnrateWarning):
    """A state that was saved under one schedule is loaded under another."""


class OpenToOthersWarning(LearnrateWarning):
    """A live page is served at an address that other machines reach."""


class LostRatiosWarning(LearnrateWarning):
    """Parameter groups had values of their own, which one schedule for all of them replaces."""


class NotRestoredWarning(LearnrateWarning):
    """Something that training changed cannot be given back: it is too large to be copied, or cannot be copied or set."""


class NotMeasuredWarning(LearnrateWarning):
    """Something beside the main result cannot be measured; the result goes without it."""


class RecordWarning(LearnrateWarning):
    """The record of a run cannot be written for now, is not complete, or has more than one run."""
