"""Events down to the browsers: each gets the latest state, however many it has missed."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from learnrate.control.live.access import Role

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MOST_WATCHERS = 32
"""Watchers at a time. Each costs some 50 us a message, in the process of the training."""

MOST_AT_ONCE = 8
"""Watchers that get every message: those that asked for something last, within `AWAKE` seconds. The others get one every
`RARELY` seconds: a page that nobody looks at asks for nothing."""

AWAKE, RARELY = 60.0, 5.0
NEVER = float("-inf")

PATIENCE = 10.0
"""Seconds that a browser may take to receive a message before it is dropped."""

HEADERS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]


@dataclass(eq=False)
class _Watcher:
    """A browser that is connected. There is no queue: it is told that something is new, and takes the latest."""

    name: str
    role: Role
    news: asyncio.Event = field(default_factory=asyncio.Event)
    told: float = 0.0
    behind: bool = True
    gone: bool = False


class Streams:
    """The browsers that watch, and the latest state of the run.

    Attributes:
        entered: Called when one begins to watch; it has to lead to `publish`.
    """

    entered: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self) -> None:
        self._watchers: list[_Watcher] = []
        self._seen: dict[str, float] = {}
        self._state: dict[str, Any] = {}
        self._messages: dict[Role, bytes] = {}

    def __len__(self) -> int:
        return len(self._watchers)

    def publish(self, state: dict[str, Any]) -> None:
        """Make a state the latest one, and tell those who do not have it."""
        if state != self._state:
            self._state, self._messages = state, {}
            for watcher in self._watchers:
                watcher.behind = True
        now = time.monotonic()
        for place, watcher in enumerate(
            sorted(self._watchers, key=lambda each: self._seen.get(each.name, NEVER), reverse=True)
        ):
            awake = place < MOST_AT_ONCE and now - self._seen.get(watcher.name, NEVER) < AWAKE
            if watcher.behind and (awake or now - watcher.told >= RARELY):
                watcher.told, watcher.behind = now, False
                watcher.news.set()

    def heard(self, name: str) -> None:
        """Note that a browser has made a request, so it is alive."""
        if any(watcher.name == name for watcher in self._watchers):
            self._seen[name] = time.monotonic()

    def _message(self, role: Role) -> bytes:
        if role not in self._messages:
            state = {**self._state, "can_change": self._state.get("can_change", False) and role == "change"}
            self._messages[role] = f"data: {json.dumps(state, allow_nan=False)}\n\n".encode()
        return self._messages[role]

    def _enter(self, name: str, role: Role) -> _Watcher:
        if len(self._watchers) >= MOST_WATCHERS:
            # The one that was silent for the longest time gives way: a page that is looked at asks for series.
            silent = min(self._watchers, key=lambda watcher: self._seen.get(watcher.name, NEVER))
            silent.gone = True
            silent.news.set()
            self._watchers.remove(silent)
        watcher = _Watcher(name, role)
        self._watchers.append(watcher)
        return watcher

    async def serve(self, name: str, role: Role, receive: Receive, send: Send, abort: Callable[[], None]) -> None:
        """Send the latest state, each time that there is a new one, until the browser leaves.

        Args:
            name: What the browser calls itself.
            role: What it may do.
            receive: Of ASGI.
            send: Of ASGI.
            abort: Closes the connection without waiting for what was not received.
        """
        watcher = self._enter(name, role)
        listening = asyncio.ensure_future(_until_left(watcher, receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            self.entered()
            while not watcher.gone:
                await watcher.news.wait()
                watcher.news.clear()
                if watcher.gone:
                    break
                body = {"type": "http.response.body", "body": self._message(role), "more_body": True}
                await asyncio.wait_for(send(body), PATIENCE)
            await asyncio.wait_for(send({"type": "http.response.body", "body": b"", "more_body": False}), 1.0)
        except TimeoutError:
            abort()
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
            watcher.gone = True
            watcher.news.set()


async def _until_left(watcher: _Watcher, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    watcher.gone = True
    watcher.news.set()
