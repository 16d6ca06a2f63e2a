"""The live page: a run in the browser, which can be changed from there. Starlette is imported when one is served."""

import sys
import warnings
from typing import TYPE_CHECKING, Any

from learnrate import checks
from learnrate.control.control import Control
from learnrate.control.live.settings import Page, page_settings
from learnrate.control.live.sources import Running, Source
from learnrate.errors import MissingExtraError, OpenToOthersWarning

if TYPE_CHECKING:
    from learnrate.control.live.server import Server

__all__ = ["LivePage", "Page", "listen", "page_settings", "serve", "widget"]


class LivePage(Running):
    """The live page of a run in this process: a listener of its control.

    When the run ends, the page can be read until the process ends, or until `stop`.

    Attributes:
        link: The link for those who may change the run.
        read_only_link: The link for those who may only read.
        server: What serves it.
    """

    def __init__(self, control: Control, page: Page, start: int = 0) -> None:
        super().__init__(control, start, page.title)
        self.can_change = not page.read_only
        self.server = serve(self, page)
        self.woken = self.server.wake

    @property
    def link(self) -> str:
        """See `Server.link`."""
        return self.server.link

    @property
    def read_only_link(self) -> str:
        """See `Server.read_only_link`."""
        return self.server.read_only_link

    def stop(self) -> None:
        """Serve the page no more."""
        self.server.stop()


def serve(source: Source, page: Page) -> "Server":
    """Serve the page of a run, and print its link.

    Raises:
        ArgumentError: if the port is taken, or the address is none of this machine.
        MissingExtraError: if Starlette or uvicorn is not installed.

    Warns:
        OpenToOthersWarning: if other machines can reach it.
    """
    try:
        from learnrate.control.live.server import Server
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("starlette", "uvicorn", "h11", "anyio"):
            raise
        raise MissingExtraError(
            "the live page needs Starlette and uvicorn, which are not installed: pip install 'learnrate[live]'",
            name=error.name,
        ) from error
    server = Server(source, page).start()
    if not page.is_local:
        warnings.warn(
            f"the live page is served at {page.host}: everybody who reaches this machine and has the link "
            f"{'reads' if page.read_only else 'changes'} the run, and the link travels without encryption; "
            "a tunnel (ssh -L) is the safer way",
            OpenToOthersWarning,
            stacklevel=3,
        )
    print(f"learnrate: live page at {server.link}", file=sys.stderr, flush=True)
    if page.open_browser:
        import webbrowser  # which loads a dozen modules

        webbrowser.open(server.link)
    return server


def listen(control: Control, page: object, start: int = 0) -> LivePage | None:
    """Give a run its live page, if it is asked for one.

    Args:
        control: The control of the run.
        page: True, False, or the settings.
        start: Number of updates so far.

    Returns:
        The page, which listens to the run now; None without one.
    """
    settings = page_settings(page)
    if settings is None:
        return None
    live = LivePage(control, settings, start)
    control.listeners.append(live)
    return live


def widget(run: Control | Running) -> Any:
    """The page of a run as a widget of a notebook, which talks to the run through the kernel: no server is needed.

    A kernel that is busy with a cell answers no questions: train in a thread, or use the link of a page. Without them the
    widget shows the present values while the cell runs, and everything else afterwards.

    Args:
        run: The control of a run, or its page.

    Returns:
        A widget; show it as the last line of a cell.

    Raises:
        ArgumentTypeError: if it is something else.
        MissingExtraError: if anywidget is not installed.
    """
    if not isinstance(run, (Control, Running)):
        checks.refuse_type("run", "the control of a run, such as attachment.control, or its live page", run)
    try:
        from learnrate.control.live.notebook import LiveWidget
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("anywidget", "traitlets", "ipywidgets"):
            raise
        raise MissingExtraError(
            "the widget needs anywidget, which is not installed: pip install 'learnrate[notebook]'", name=error.name
        ) from error
    if isinstance(run, Running):
        return LiveWidget(run)
    pages = [listener for listener in run.listeners if isinstance(listener, Running)]
    if not pages:
        pages.append(Running(run))
        run.listeners.append(pages[0])
    return LiveWidget(pages[0])
