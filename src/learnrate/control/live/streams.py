"""Events down to the browsers: each gets the latest state, however many it has missed."""

import asyncio
import json
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Receive, Scope, Send

from learnrate.control.live.access import Role

MOST_WATCHERS = 32
"""Watchers at a time."""

MOST_AT_ONCE = 8
"""Watchers that get every message: those that asked for something last, within `AWAKE` seconds. The others get one every
`RARELY` seconds: a page that nobody looks at asks for nothing."""

AWAKE, RARELY = 60.0, 5.0

MOST_RARE = 2.0
"""Messages a second to all of those others together."""

NEVER = float("-inf")

BUFFER = 8192
"""Bytes that the system keeps for a browser that does not read. A message has some 400."""

PATIENCE = 10.0
"""Seconds that a browser may take to receive a message before it is dropped."""

HEADERS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]


@dataclass(eq=False)
class _Watcher:
    """A browser that is connected. There is no queue: it gets the latest state once it has received the one before."""

    name: str
    role: Role
    transport: asyncio.Transport
    is_chunked: bool
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    sent: float = NEVER
    behind: bool = True
    stuck: float | None = None
    """Since when it has not received the last message."""


class Streams:
    """The browsers that watch, and the latest state of the run.

    Attributes:
        entered: Called when one begins to watch or to look; it has to lead to `publish`.
    """

    entered: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self) -> None:
        self._watchers: list[_Watcher] = []
        self._seen: dict[str, float] = {}
        self._state: dict[str, Any] = {}
        self._messages: dict[tuple[Role, bool], bytes] = {}

    def __len__(self) -> int:
        return len(self._watchers)

    def publish(self, state: dict[str, Any]) -> None:
        """Make a state the latest one, and tell those who do not have it."""
        if state != self._state:
            self._state, self._messages = state, {}
            for watcher in self._watchers:
                watcher.behind = True
        now = time.monotonic()
        last_request = {watcher: self._seen.get(watcher.name, NEVER) for watcher in self._watchers}
        looking = sorted(
            (watcher for watcher in last_request if now - last_request[watcher] < AWAKE), key=last_request.__getitem__
        )[-MOST_AT_ONCE:]
        pause = max(RARELY, (len(last_request) - len(looking)) / MOST_RARE)
        for watcher in self._watchers:
            if self._is_ready(watcher, now) and watcher.behind and (watcher in looking or now - watcher.sent >= pause):
                watcher.sent, watcher.behind = now, False
                watcher.transport.write(self._message(watcher))

    def _is_ready(self, watcher: _Watcher, now: float) -> bool:
        """Whether a browser has received what was sent before. One that does not for a long time is dropped."""
        if watcher.transport.is_closing():
            return False
        if not watcher.transport.get_write_buffer_size():
            watcher.stuck = None
            return True
        watcher.stuck = now if watcher.stuck is None else watcher.stuck
        if now - watcher.stuck >= PATIENCE:
            watcher.transport.abort()
        return False

    @property
    def is_looked_at(self) -> bool:
        """Whether a browser asks for what it shows; none does if nobody looks at it."""
        now = time.monotonic()
        return any(now - last < AWAKE for last in self._seen.values())

    def heard(self, name: str) -> None:
        """Note that a browser has made a request, so it is alive."""
        if any(watcher.name == name for watcher in self._watchers):
            if not self.is_looked_at:
                self.entered()
            self._seen[name] = time.monotonic()

    def _message(self, watcher: _Watcher) -> bytes:
        """The latest state as it travels: written once for all who may do the same."""
        key = watcher.role, watcher.is_chunked
        if key not in self._messages:
            state = {**self._state, "can_change": self._state.get("can_change", False) and watcher.role == "change"}
            message = f"data: {json.dumps(state, allow_nan=False)}\n\n".encode()
            self._messages[key] = b"%x\r\n%b\r\n" % (len(message), message) if watcher.is_chunked else message
        return self._messages[key]

    def _enter(self, watcher: _Watcher) -> None:
        if len(self._watchers) >= MOST_WATCHERS:
            # The one that was silent for the longest time gives way: a page that is looked at asks for series.
            silent = min(self._watchers, key=lambda other: self._seen.get(other.name, NEVER))
            silent.gone.set()
            self._watchers.remove(silent)
        self._watchers.append(watcher)
        self.entered()

    async def serve(self, name: str, role: Role, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the latest state, each time that there is a new one, until the browser leaves.

        The messages are written to the connection itself, by `publish`: a task for each browser that wakes for each message
        costs ten times as much.

        Args:
            name: What the browser calls itself.
            role: What it may do.
            scope: Of ASGI.
            receive: Of ASGI.
            send: Of ASGI.
        """
        transport: asyncio.Transport = scope["state"]["transport"]
        watcher = _Watcher(name, role, transport, is_chunked=scope["http_version"] != "1.0")
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        # One who does not read is noticed when the buffers are full.
        with suppress(OSError):  # it has left already
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        listening = asyncio.ensure_future(_until_left(watcher, receive))
        try:
            self._enter(watcher)
            await watcher.gone.wait()
            await asyncio.wait_for(send({"type": "http.response.body", "body": b"", "more_body": False}), 1.0)
        except TimeoutError:
            transport.abort()
            await asyncio.sleep(0)  # until the server knows that it is closed
        finally:
            listening.cancel()
            if watcher in self._watchers:
                self._watchers.remove(watcher)
            if not any(other.name == name for other in self._watchers):
                self._seen.pop(name, None)

    def close(self) -> None:
        """Let all of them go."""
        for watcher in self._watchers:
            watcher.gone.set()


async def _until_left(watcher: _Watcher, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    watcher.gone.set()
