"""Every error that learnrate raises on purpose.

    LearnrateError
    ├── ArgumentError        (ValueError)    an argument breaks its rule
    │   ├── ParseError                       a text is no schedule; knows the column
    │   └── UnresolvedError                  a schedule's length is known only with the run
    ├── ArgumentTypeError    (TypeError)     an argument is of the wrong kind
    ├── RecipeError          (ValueError)    a recipe file is missing, broken, or returns the wrong thing
    ├── DataError            (ValueError)    the batches cannot feed the run
    ├── LossError            (RuntimeError)  what a training step returned is no usable loss
    ├── NoAnswerError        (RuntimeError)  the evidence does not carry an answer; says what would
    ├── RankError            (RuntimeError)  one of several processes failed
    ├── AlreadyDrivenError   (RuntimeError)  something else already drives this optimizer's LR
    ├── OutputError          (OSError)       a result cannot be written or read
    └── MissingExtraError    (ImportError)   an optional dependency is not installed

Each is also a subclass of the fitting built-in, so that code which knows nothing of learnrate can catch it.
Messages name the argument, the rule, the value received and the remedy.
"""


class LearnrateError(Exception):
    """Base of all errors raised by learnrate."""


class ArgumentError(LearnrateError, ValueError):
    """An argument's value breaks its rule."""


class ParseError(ArgumentError):
    """A text is not a schedule.

    Attributes:
        column: where in the text the trouble starts, counted from 1.
    """

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.column = column

    def __reduce__(self) -> tuple[type["ParseError"], tuple[str, int]]:
        return type(self), (str(self), self.column)


class UnresolvedError(ArgumentError):
    """A schedule has a length, such as "5%", that is known only with the run: call `schedule.resolve` first."""


class ArgumentTypeError(LearnrateError, TypeError):
    """An argument is of the wrong kind."""


class RecipeError(LearnrateError, ValueError):
    """A recipe file is missing, broken, or returns the wrong thing."""


class DataError(LearnrateError, ValueError):
    """The batches cannot feed the run."""


class LossError(LearnrateError, RuntimeError):
    """What a training step returned is no usable loss."""


class NoAnswerError(LearnrateError, RuntimeError):
    """The evidence does not carry an answer.

    Attributes:
        reason: what the evidence shows, in one sentence.
        remedy: what would give an answer, in one sentence.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"no answer: {reason} {remedy}")
        self.reason = reason
        self.remedy = remedy

    def __reduce__(self) -> tuple[type["NoAnswerError"], tuple[str, str]]:
        return type(self), (self.reason, self.remedy)


class RankError(LearnrateError, RuntimeError):
    """One of several processes failed, and all of them ended for it.

    Attributes:
        rank: The number of the process that failed.
    """

    def __init__(self, message: str, rank: int) -> None:
        super().__init__(message)
        self.rank = rank

    def __reduce__(self) -> tuple[type["RankError"], tuple[str, int]]:
        return type(self), (str(self), self.rank)


class AlreadyDrivenError(LearnrateError, RuntimeError):
    """Something else already drives this optimizer's learning rate."""


class OutputError(LearnrateError, OSError):
    """A result cannot be written or read."""


class MissingExtraError(LearnrateError, ImportError):
    """An optional dependency is not installed."""


class LearnrateWarning(UserWarning):
    """Base of all warnings issued by learnrate."""


class NotRewoundWarning(LearnrateWarning):
    """An iterator was drawn from that cannot be put back to where it was."""


class PastEndWarning(LearnrateWarning):
    """A finite schedule is driven past its last update; it holds its end value."""


class NotRestoredWarning(LearnrateWarning):
    """A function changed something in itself that is too large to be copied, and is not given back."""
