"""The connections of a page: many may come, few cost anything."""

import asyncio
import logging
import socket
import time
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from learnrate.control.live.access import Allowance

MOST_CONNECTIONS = 100
"""Connections at a time whose first request has arrived. A process has 1,024 open files by default."""

MOST_WAITING = 128
"""Connections at a time whose first request has not arrived. With more, the oldest one is closed."""

WAITING_TIME = 60.0
"""Seconds for which these are kept while there is room. One that waits costs nothing, and one that is closed may come again,
which costs something."""

MOST_PARTS = 32
"""Parts in which the head of a request may arrive."""

CONNECTIONS_A_SECOND = 16
"""New connections in the long run; a browser makes six when it opens the page, and keeps them."""

CONNECTIONS_AT_ONCE = 120
"""New connections at once."""

REQUEST_TIME = 10.0
"""Seconds within which the head of a second request has to arrive, once it has begun."""

LARGEST_HEAD = 16 * 1024
"""Bytes of the head of a request."""

KEPT_ALIVE = 30
"""Seconds that a connection stays open without a further request. A page that is looked at makes two requests a second."""

QUIET = logging.getLogger("learnrate.live")
"""Clients that speak no HTTP, which uvicorn warns about, are no news for the one who trains; faults of the page are."""
QUIET.setLevel(logging.ERROR)


class Protocol(H11Protocol):
    """HTTP, from the first complete head of a request on, with a limit on the time of the later ones."""

    _late: asyncio.TimerHandle | None = None
    first = b""
    """What has arrived before."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin with what has arrived."""
        self.logger = self.access_logger = QUIET
        self.app_state = {"transport": transport}  # for the streams
        super().connection_made(transport)
        self.data_received(self.first)

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        """Go on with a request, or begin one."""
        super().data_received(data)
        if self._late is None and self.is_idle:
            self._wait_for_request()  # this was a part of one

    def _wait_for_request(self) -> None:
        self._late = self.loop.call_later(REQUEST_TIME, self._close_if_none_came, self.cycle)

    def _close_if_none_came(self, last: object) -> None:
        self._late = None
        if self.cycle is last:
            self.transport.abort()
        elif self.cycle.response_complete and self.timeout_keep_alive_task is None:
            self._wait_for_request()  # a part of the next one has arrived meanwhile

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        if self._late is not None:
            self._late.cancel()
        super().connection_lost(exc)


@dataclass
class _Waiting:
    """A connection whose first request has not arrived."""

    since: float
    data: bytearray = field(default_factory=bytearray)
    parts: int = 0


class Door:
    """Accepts connections, no faster than the training can bear; the others wait in the queue of the system.

    The server of asyncio accepts whatever comes, and makes objects for it: 0.5 ms for each client that says nothing and
    comes again when it is dropped. Here a connection is a socket and the bytes that have arrived, until these are the head
    of a request.
    """

    def __init__(self, listening: socket.socket, server: uvicorn.Server, loop: asyncio.AbstractEventLoop) -> None:
        self._socket, self._server, self._loop = listening, server, loop
        self._allowance = Allowance(burst=CONNECTIONS_AT_ONCE, rate=CONNECTIONS_A_SECOND)
        self._waiting: dict[socket.socket, _Waiting] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._later: asyncio.TimerHandle | None = None
        self._sweep: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """Number of connections whose first request has not arrived."""
        return len(self._waiting)

    def open(self) -> None:
        """Accept from now on."""
        self._later = None
        self._loop.add_reader(self._socket.fileno(), self._accept)

    def close(self) -> None:
        """Accept no more."""
        for timer in (self._later, self._sweep):
            if timer is not None:
                timer.cancel()
        self._loop.remove_reader(self._socket.fileno())
        for connection in list(self._waiting):
            self._drop(connection)

    def _accept(self) -> None:
        if not self._allowance.take(time.monotonic()):
            self._pause()
            return
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError:  # the process has no file left
            self._pause()
            return
        connection.setblocking(False)
        if len(self._waiting) >= MOST_WAITING:
            self._drop(next(iter(self._waiting)))
        self._waiting[connection] = _Waiting(time.monotonic())
        self._loop.add_reader(connection, self._read, connection)
        self._read(connection)  # most have their request with them
        if self._sweep is None and self._waiting:
            self._sweep = self._loop.call_later(WAITING_TIME, self._drop_old)

    def _pause(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._later = self._loop.call_later(0.2, self.open)

    def _read(self, connection: socket.socket) -> None:
        waiting = self._waiting[connection]
        try:
            data = connection.recv(2 * LARGEST_HEAD)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(connection)
            return
        waiting.data += data
        waiting.parts += 1
        if b"\r\n\r\n" in waiting.data or len(waiting.data) > LARGEST_HEAD:
            self._admit(connection, bytes(waiting.data))
        elif waiting.parts >= MOST_PARTS:  # bytes that come one by one would wake this thread for each of them
            self._loop.remove_reader(connection)

    def _drop(self, connection: socket.socket) -> None:
        del self._waiting[connection]
        self._loop.remove_reader(connection)
        connection.close()

    def _drop_old(self) -> None:
        self._sweep, now = None, time.monotonic()
        for connection, waiting in list(self._waiting.items()):
            if now - waiting.since >= WAITING_TIME:
                self._drop(connection)
        if self._waiting:
            oldest = next(iter(self._waiting.values())).since
            self._sweep = self._loop.call_later(oldest + WAITING_TIME - now + WAITING_TIME / 10, self._drop_old)

    def _admit(self, connection: socket.socket, first: bytes) -> None:
        """Hand a connection over to HTTP. If there are too many, one that makes no request gives way."""
        del self._waiting[connection]
        self._loop.remove_reader(connection)
        connections = self._server.server_state.connections
        if len(connections) + len(self._tasks) >= MOST_CONNECTIONS:
            idle = next((protocol for protocol in connections if isinstance(protocol, Protocol) and protocol.is_idle), None)
            if idle is None:
                connection.close()
                return
            idle.transport.abort()
        task = self._loop.create_task(self._serve(connection, first))
        self._tasks.add(task)
        task.add_done_callback(self._end)

    async def _serve(self, connection: socket.socket, first: bytes) -> None:
        await self._loop.connect_accepted_socket(lambda: self._protocol(first), connection)

    def _end(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a client that left at once is no news

    def _protocol(self, first: bytes) -> Protocol:
        protocol = Protocol(self._server.config, self._server.server_state, {}, self._loop)
        protocol.first = first
        return protocol
