"""The thread that serves a page."""

import asyncio
import atexit
import os
import socket
import threading
import time
import weakref
from contextlib import suppress
from typing import Any

import uvicorn

from learnrate import checks
from learnrate.control.live.access import Access
from learnrate.control.live.app import App
from learnrate.control.live.connections import KEPT_ALIVE, LARGEST_HEAD, QUIET, Door, Protocol
from learnrate.control.live.settings import Page
from learnrate.control.live.sources import Source, state_of
from learnrate.errors import OutputError

INTERVAL = 0.5
"""Seconds between two messages to the browsers."""

UNWATCHED = 5.0
"""Seconds after which the queue of updates is emptied while nobody watches."""


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
        self._asleep = False
        self._woken, self._ended = asyncio.Event(), self.app.ending
        self.app.streams.entered = self._woken.set
        self._thread = threading.Thread(target=self._run, name="learnrate live page", daemon=True)
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        config = uvicorn.Config(
            self.app.asgi(),
            http=Protocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEPT_ALIVE,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=LARGEST_HEAD,
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
        self.door = Door(self._socket, self._uvicorn, self._loop)
        self.door.open()
        telling = asyncio.ensure_future(self._tell())
        self._ready.set()
        await self._ended.wait()
        self.door.close()
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
            self._asleep = True  # before the state is looked at: what changes from here on has to wake
            try:
                self._publish()
            except Exception as error:  # of a function of the user's, for example: the run must not end because of the page
                if repr(error) != fault:
                    QUIET.exception("the live page cannot be brought up to date")
                fault = repr(error)
            streams = self.app.streams
            pause = INTERVAL if streams.is_looked_at else UNWATCHED
            with suppress(TimeoutError):
                async with asyncio.timeout(pause if self.source.status == "running" else 10 * pause):
                    await self._woken.wait()
                await asyncio.sleep(INTERVAL / 10)  # a controller may act at every update
            self._woken.clear()

    def _publish(self) -> None:
        if len(self.app.streams):
            self.app.streams.publish(state_of(self.source, len(self.app.streams)))
        else:
            self.source.refresh()
            self.source.history.measure_rate()

    def wake(self) -> None:
        """Tell the browsers now, not at the next interval. Any thread may call it."""
        # Once is enough: each call wakes the thread of the page, and a controller may act at every update.
        if self._asleep and self._loop is not None and self._thread.is_alive():
            self._asleep = False
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
