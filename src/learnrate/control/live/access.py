"""Who may read a run, and who may change it."""

import hashlib
import ipaddress
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from learnrate.control.live.settings import Page, is_loopback

Role = Literal["change", "read"]


def _secret() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True)
class Access:
    """The rules by which a request is let in.

    A link has a token behind its `#`, which browsers send to nobody. The page exchanges it for a cookie, which scripts
    cannot read and other sites cannot use. Programs send the token itself: `Authorization: Bearer TOKEN`.

    Attributes:
        page: The settings.
        change: The token of those who may change the run.
        read: The token of those who may only read.
    """

    page: Page
    change: str = field(default_factory=_secret, repr=False)
    read: str = field(default_factory=_secret, repr=False)
    _key: str = field(default_factory=_secret, repr=False)

    def role_of_token(self, token: str) -> Role | None:
        """What a token allows; None if it is none of this run."""
        # Both are compared, and as bytes: compare_digest takes no text beyond ASCII.
        given = token.encode("utf-8", "replace")
        change = secrets.compare_digest(given, self.change.encode())
        read = secrets.compare_digest(given, self.read.encode())
        if change and not self.page.read_only:
            return "change"
        return "read" if read or change else None

    def cookie_of(self, role: Role) -> str:
        """The value of the cookie; the token cannot be computed from it."""
        return hashlib.sha256(f"{role} {self._key}".encode()).hexdigest()

    def role_of_cookie(self, value: str) -> Role | None:
        """What a cookie allows."""
        given = value.encode("utf-8", "replace")
        roles: tuple[Role, Role] = ("change", "read")
        allowed = [role for role in roles if secrets.compare_digest(given, self.cookie_of(role).encode())]
        return allowed[0] if allowed else None

    def is_host(self, host: str) -> bool:
        """Whether a request is addressed to this machine, by its `Host`.

        A page of another site whose name was made to point here (DNS rebinding) sends the name of that site. The port is not
        looked at: behind a tunnel it is another one.
        """
        name = _name(host)
        if name is None:
            return False
        if is_loopback(name) or name in {host_name.lower() for host_name in self.page.names}:
            return True
        if self.page.is_local:
            return False
        return name == self.page.host.lower() or _is_address(name) or name in _own_names()

    def is_same_origin(self, headers: Mapping[str, str]) -> bool:
        """Whether a request that changes something comes from the page itself, by its `Origin`."""
        origin, host = headers.get("origin", ""), headers.get("host", "")
        return origin.lower() in (f"http://{host}".lower(), f"https://{host}".lower())


def _name(host: str) -> str | None:
    """The name in `name:port` or `[address]:port`; None if it is neither."""
    name, _, port = host.rpartition(":") if ":" in host and not host.endswith("]") else (host, "", "")
    if port and not port.isdecimal():
        return None
    if name.startswith("["):
        return name[1:-1] if name.endswith("]") else None
    return name.lower() if name and ":" not in name else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _own_names() -> set[str]:
    own = socket.gethostname().lower()
    return {own, own.split(".")[0], socket.getfqdn().lower()}


class Allowance:
    """A number of requests in a time, for all watchers together.

    Args:
        burst: Requests at once.
        rate: Requests a second in the long run.
    """

    def __init__(self, burst: float, rate: float) -> None:
        self._burst, self._rate = burst, rate
        self._left, self._time = burst, 0.0

    def take(self, now: float) -> bool:
        """Whether one more is allowed now."""
        self._left = min(self._burst, self._left + (now - self._time) * self._rate)
        self._time = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
