"""How a schedule is shown: as JSON, as a figure, in a notebook."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, cast

from learnrate.errors import UnresolvedError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from learnrate.schedules.base import Schedule


class Shown(ABC):
    """The methods of a schedule that show it."""

    @abstractmethod
    def _span(self) -> int:
        """Number of updates that a picture shows by default."""

    def _schedule(self) -> "Schedule":
        return cast("Schedule", self)

    def to_json(self) -> str:
        """This schedule as JSON, with a version; `learnrate.schedules.from_json` reads it.

        Raises:
            ArgumentError: if it contains a function that is not at the top level of a module.

        Example:
            >>> from learnrate import constant
            >>> constant(0.1).to_json()
            '{"learnrate": "schedule", "version": 1, "schedule": {"name": "constant", "value": 0.1, "length": null}}'
        """
        from learnrate.schedules.jsonform import to_json

        return to_json(self._schedule())

    def plot(self, updates: int | None = None, ax: "Axes | None" = None) -> "Axes":
        """Draw the schedule and return the axes.

        Args:
            updates: Number of updates to draw. By default the length of a finite schedule, and of an endless one enough to
                show its form (five cycles of a cyclical one).
            ax: The axes to draw in; a new figure by default.

        Raises:
            MissingExtraError: if matplotlib is not installed.
        """
        from learnrate.schedules.figure import draw_schedule

        return draw_schedule(self._schedule(), self._span() if updates is None else updates, ax)

    def _repr_html_(self) -> str | None:
        """The expression and the picture. Without a picture a notebook shows the `repr`."""
        from learnrate.schedules.figure import schedule_html

        try:
            return schedule_html(self._schedule(), self._span())
        except (UnresolvedError, ImportError):
            return None
