"""The thread that serves a page."""

import asyncio
import atexit
import logging
import os
import socket
import threading
import time
import weakref
from contextlib import suppress
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from learnrate import checks
from learnrate.control.live.access import Access, Allowance
from learnrate.control.live.app import App
from learnrate.control.live.settings import Page
from learnrate.control.live.sources import Source, state_of
from learnrate.errors import OutputError

INTERVAL = 0.5
"""Seconds between two messages to the browsers."""

MOST_CONNECTIONS = 200
"""Connections at a time. A process has 1,024 open files by default, and the training needs some."""

CONNECTIONS_A_SECOND = 8
"""New connections in the long run; a browser makes six when it opens the page, and keeps them."""

REQUEST_TIME = 10.0
"""Seconds within which the head of a request has to arrive."""

_QUIET = logging.getLogger("learnrate.live")
"""Clients that speak no HTTP, which uvicorn warns about, are no news for the one who trains; faults of the page are."""
_QUIET.setLevel(logging.ERROR)


class _Protocol(H11Protocol):
    """HTTP with a limit on the time until a request is complete."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.logger = self.access_logger = _QUIET
        self.app_state = {"abort": transport.abort}  # for the streams, which drop whoever does not read
        super().connection_made(transport)
        self._wait_for_request()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._late is None and (self.cycle is None or self.cycle.response_complete):
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
        if self._late is not None:
            self._late.cancel()
        super().connection_lost(exc)


class _Door:
    """Accepts connections, no more and no faster than the training can bear. The others wait in the queue of the system.

    The server of asyncio accepts whatever comes: clients that come back as often as they are dropped cost it 0.2 ms each.
    """

    def __init__(self, listening: socket.socket, server: uvicorn.Server, loop: asyncio.AbstractEventLoop) -> None:
        self._socket, self._server, self._loop = listening, server, loop
        self._allowance = Allowance(burst=60, rate=CONNECTIONS_A_SECOND)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._later: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Accept from now on."""
        self._later = None
        self._loop.add_reader(self._socket.fileno(), self._accept)

    def close(self) -> None:
        """Accept no more."""
        if self._later is not None:
            self._later.cancel()
        self._loop.remove_reader(self._socket.fileno())

    def _accept(self) -> None:
        full = len(self._server.server_state.connections) + len(self._tasks) >= MOST_CONNECTIONS
        if full or not self._allowance.take(time.monotonic()):
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
        task = self._loop.create_task(self._loop.connect_accepted_socket(self._protocol, connection))
        self._tasks.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # a client that left at once is no news

    def _protocol(self) -> _Protocol:
        return _Protocol(self._server.config, self._server.server_state, {}, self._loop)

    def _pause(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._later = self._loop.call_later(0.2, self.open)


class Server:
    """Serves the page of a run from a daemon thread, until the process ends or `stop` is called.

    Args:
        source: The run.
        page: The settings.
        access: Who is let in; None makes new tokens.

    Attributes:
        port: The port that it is served at.
        app: The application.

    Raises:
        ArgumentError: if the port is taken, or the address is none of this machine.
    """

    def __init__(self, source: Source, page: Page, access: Access | None = None) -> None:
        self.page, self.source = page, source
        self.app = App(source, access or Access(page))
        if page.port:
            _stop_finished(page.port)
        self._socket = _listening(page)
        self.port: int = self._socket.getsockname()[1]
        self.app.port = self.port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken, self._ended = asyncio.Event(), self.app.ending
        self.app.streams.entered = self._woken.set
        self._thread = threading.Thread(target=self._run, name="learnrate live page", daemon=True)
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        config = uvicorn.Config(
            self.app.asgi(),
            http=_Protocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=16 * 1024,
        )
        self._uvicorn = uvicorn.Server(config)

    @property
    def address(self) -> str:
        """The address without a token."""
        host = self.page.host
        if host in ("0.0.0.0", "::", ""):
            host = socket.gethostname()
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/"

    @property
    def link(self) -> str:
        """The link for those who may change the run, or for reading if the page is read-only."""
        return self.read_only_link if self.page.read_only else f"{self.address}#{self.app.access.change}"

    @property
    def read_only_link(self) -> str:
        """The link for those who may only read."""
        return f"{self.address}#{self.app.access.read}"

    def start(self) -> "Server":
        """Begin to serve.

        Raises:
            OutputError: if the server does not start.
        """
        _SERVERS.add(self)
        self._thread.start()
        self._ready.wait(10)
        if self._failure is not None or not self._ready.is_set():
            self._socket.close()
            raise OutputError(f"the live page cannot be served: {self._failure or 'its thread did not start'}")
        return self

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(_report)
        config = self._uvicorn.config
        config.load()
        self._uvicorn.lifespan = config.lifespan_class(config)
        # Its own main loop wakes ten times a second, which costs more than everything that the page does without a watcher.
        await self._uvicorn.startup(sockets=[])
        door = _Door(self._socket, self._uvicorn, self._loop)
        door.open()
        telling = asyncio.ensure_future(self._tell())
        self._ready.set()
        await self._ended.wait()
        door.close()
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        self.app.streams.close()
        await asyncio.sleep(0.1)
        for connection in list(self._uvicorn.server_state.connections):
            connection.transport.abort()  # those who do not read would be waited for
        await self._uvicorn.shutdown(sockets=[])

    async def _tell(self) -> None:
        """Bring the state up to date, and publish it, twice a second while somebody watches."""
        fault = ""
        while not self._ended.is_set():
            try:
                self.app.streams.publish(state_of(self.source, len(self.app.streams)))
            except Exception as error:  # of a function of the user's, for example: the run must not end because of the page
                if repr(error) != fault:
                    _QUIET.exception("the live page cannot be brought up to date")
                fault = repr(error)
            pause = INTERVAL if len(self.app.streams) else 2 * INTERVAL
            with suppress(TimeoutError):
                async with asyncio.timeout(pause if self.source.status == "running" else 10 * pause):
                    await self._woken.wait()
                await asyncio.sleep(INTERVAL / 10)  # a controller may act at every update
            self._woken.clear()

    def wake(self) -> None:
        """Tell the browsers now, not at the next interval. Any thread may call it."""
        if self._loop is not None and self._thread.is_alive():
            with suppress(RuntimeError):  # the loop was closed in between
                self._loop.call_soon_threadsafe(self._woken.set)

    def stop(self, seconds: float = 3.0) -> None:
        """End the thread. Browsers keep what they show."""
        _SERVERS.discard(self)
        if self._loop is not None and self._thread.is_alive():
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._ended.set)
            if threading.current_thread() is not self._thread:
                self._thread.join(seconds)
        self._socket.close()

    def forget(self) -> None:
        """Close what a forked process has inherited: it serves nothing, and must not keep the port."""
        self._socket.close()
        self._loop = None


def _listening(page: Page) -> socket.socket:
    """A socket that listens, made here so that a taken port is an error of the call and not of a thread."""
    family = socket.AF_INET6 if ":" in page.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setblocking(False)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((page.host, page.port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        if page.port and isinstance(error, OSError) and not isinstance(error, socket.gaierror):
            rule = f"one that can be served at {page.host}"
            checks.refuse("port", rule, page.port, f"{error.strerror}; port=0 takes a free one")
        checks.refuse("host", "an address of this machine", page.host, str(error.strerror))
    return listening


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not isinstance(context.get("exception"), (ConnectionError, TimeoutError)):  # those are of clients that have left
        loop.default_exception_handler(context)


_SERVERS: "weakref.WeakSet[Server]" = weakref.WeakSet()


def _stop_finished(port: int) -> None:
    """Free a port on which this process still shows a run that has ended: the cell of a notebook was run again."""
    for server in list(_SERVERS):
        if server.port == port and server.source.status == "finished":
            server.stop()


def _forget_all() -> None:
    for server in list(_SERVERS):
        server.forget()
    _SERVERS.clear()


def _end_all() -> None:
    """The process ends: let the browsers know, within a moment."""
    servers = list(_SERVERS)
    for server in servers:
        close = getattr(server.source, "close", None)
        if close is not None:
            close()
        server.wake()
    if servers:
        time.sleep(0.05)
    for server in servers:
        server.stop(1.0)


atexit.register(_end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
