"""How a live page is served."""

import ipaddress
from dataclasses import dataclass

from learnrate import checks

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Page:
    """Settings of a live page: `attach(..., page=lr.control.Page(port=8765))`.

    Args:
        host: Address that the page is served at. With another one than that of this machine itself, everybody who can reach
            it and has the link may change the run, and reads it without encryption: a tunnel
            (`ssh -L 8765:127.0.0.1:8765 machine`) is the safer way.
        port: Its port; 0 takes a free one.
        open_browser: Open the page in the browser of this machine.
        read_only: Let nobody change the run.
        title: What the page is called.
        names: More names by which browsers reach this machine, such as that of a proxy. Requests to other names are refused.

    Raises:
        ArgumentError: if an argument breaks its rule.
        ArgumentTypeError: if an argument is of the wrong type.

    Example:
        >>> Page(port=8765).is_local
        True
    """

    host: str = LOOPBACK
    port: int = 0
    open_browser: bool = False
    read_only: bool = False
    title: str = "Training run"
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checks.text("host", self.host)
        if not self.host.strip():
            checks.refuse("host", "an address or a name", self.host, f"{LOOPBACK} is this machine alone")
        checks.whole("port", self.port, at_least=0, at_most=65535)
        checks.text("title", self.title)
        checks.flag("open_browser", self.open_browser)
        checks.flag("read_only", self.read_only)
        object.__setattr__(self, "names", checks.several(checks.text)("names", self.names))

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the page."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine itself."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def page_settings(page: object) -> Page | None:
    """The settings that an argument `page` asks for; None for no page.

    Raises:
        ArgumentTypeError: if it is neither True, False nor a `Page`.
    """
    if isinstance(page, Page):
        return page
    if not isinstance(page, bool):
        checks.refuse_type("page", "True, False or a learnrate.control.Page", page)
    return Page() if page else None
