"""The cost of a live page for a training whose update takes 5 ms: with one page open, and with 100 broken clients beside it.

    python benchmarks/live.py [--rounds 9] [--updates 400]

An update is a matrix product of NumPy, which releases the interpreter's lock, and a loop of Python, which holds it, half the
time each. Browsers are played by a process of their own, which asks for what the page asks for and as often. Writes
benchmarks/results/live.json.
"""
# ruff: noqa: E402 - the number of threads is set before NumPy is imported

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

# Before the import of NumPy: a training on the processor leaves its other cores to the page.
for threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

import numpy as np
from measure import in_rounds, keep, ratios, spread

import learnrate as lr
from learnrate.control import Control, Observation, Page
from learnrate.control.live import LivePage

UPDATE = 0.005
TARGET = 1.01
"""The page may cost 1 % of the time of an update."""

BROKEN = 100
PIXELS = 900

SETTLING = 5.0
"""Seconds after which broken clients are measured: all 100 at once come only when they begin."""


def timed(work, goal: float) -> int:
    """How often work has to be done to take a time; the quickest of several tries, because other processes may run."""
    best = min(_seconds(work, 200) for _ in range(7)) / 200
    return max(1, round(goal / best))


def _seconds(work, times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        work()
    return time.perf_counter() - start


class Update:
    """The work of an update."""

    def __init__(self) -> None:
        self.matrix = np.random.default_rng(0).normal(size=(160, 160))
        self.products = timed(self.multiply, UPDATE / 2)
        self.sums = timed(self.add, UPDATE / 2)

    def multiply(self) -> None:
        """In NumPy."""
        self.matrix @ self.matrix

    def add(self) -> int:
        """In Python."""
        total = 0
        for number in range(200):
            total += number
        return total

    def __call__(self) -> None:
        """One update."""
        for _ in range(self.products):
            self.multiply()
        for _ in range(self.sums):
            self.add()


def train(update: Update, control: Control, updates: int) -> float:
    """Mean time of an update, in seconds."""
    schedule, start = control.schedules[0], time.perf_counter()
    for n in range(updates):
        update()
        control.observe(Observation(n, schedule(n), loss=1.0 + 1.0 / (n + 1), gradient_norm=1.0))
        if control.settle(n + 1):
            schedule = control.schedules[0]
    return (time.perf_counter() - start) / updates


@contextmanager
def clients(link: str, kind: str) -> Iterator[None]:
    """A process that plays browsers."""
    process = subprocess.Popen([sys.executable, __file__, "--play", kind, "--link", link], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.wait()


def play_page(link: str) -> None:
    """Ask for what a page asks for: the stream, and the series at each message."""
    parts = urlsplit(link)
    headers = {"Authorization": f"Bearer {parts.fragment}"}
    stream = http.client.HTTPConnection(parts.netloc)
    stream.request("GET", "/api/stream?client=page", headers=headers)
    answer = stream.getresponse()
    asking = http.client.HTTPConnection(parts.netloc)
    print("ready", flush=True)
    for line in iter(answer.readline, b""):
        if line.startswith(b"data: "):
            for path in ("series", "plan") if b'"update": null' in line else ("series",):
                asking.request("GET", f"/api/{path}?from=0&to=20000&points={PIXELS}&client=page", headers=headers)
                asking.getresponse().read()


def play_broken(link: str) -> None:
    """Connections that send half a request, nothing, or ask for the stream and never read; they come back when dropped."""
    parts = urlsplit(link)
    host, port = parts.hostname or "", parts.port or 0
    request = (
        f"GET /api/stream?client={{}} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {parts.fragment}\r\n\r\n"
    )
    openings = [b"", b"GET / HTTP/1.1\r\nHost:", b"\x16\x03\x01\x02\x00", None]
    open_sockets: list[socket.socket] = []

    def connect(number: int) -> socket.socket:
        connection = socket.create_connection((host, port))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        opening = openings[number % len(openings)]
        connection.sendall(request.format(number).encode() if opening is None else opening)
        connection.setblocking(False)
        return connection

    open_sockets = [connect(number) for number in range(BROKEN)]
    print("ready", flush=True)
    while True:
        time.sleep(0.5)
        for number, connection in enumerate(open_sockets):
            try:
                dropped = number % len(openings) != 3 and connection.recv(4096) == b""
            except BlockingIOError:
                continue
            except OSError:
                dropped = True
            if dropped:
                connection.close()
                open_sockets[number] = connect(number)


def with_page(update: Update, updates: int, broken: bool, shares: list[float]) -> float:
    """Mean time of an update with a page open; notes the share of the time in which the page's thread computes."""
    control = Control([lr.cosine(0.1, 0.0, 20_000)])
    page = LivePage(control, Page())
    control.listeners.append(page)
    thread = page.server._thread.ident
    assert thread is not None
    clock = time.pthread_getcpuclockid(thread)
    try:
        with clients(page.link, "page"):
            if broken:
                with clients(page.link, "broken"):
                    time.sleep(SETTLING)
                    return _measured(update, control, updates, clock, shares)
            return _measured(update, control, updates, clock, shares)
    finally:
        page.stop()


def _measured(update: Update, control: Control, updates: int, clock: int, shares: list[float]) -> float:
    before = time.clock_gettime(clock)
    mean = train(update, control, updates)
    shares.append((time.clock_gettime(clock) - before) / (mean * updates))
    return mean


def main() -> None:
    """Measure, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--updates", type=int, default=400)
    parser.add_argument("--play", choices=("page", "broken"), help=argparse.SUPPRESS)
    parser.add_argument("--link", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.play:
        {"page": play_page, "broken": play_broken}[arguments.play](arguments.link)
        return
    update, shares = Update(), {"page": [], "broken": []}  # type: ignore[var-annotated]
    updates = arguments.updates
    figures = in_rounds(
        arguments.rounds,
        bare=lambda: train(update, Control([lr.cosine(0.1, 0.0, 20_000)]), updates),
        page=lambda: with_page(update, updates, False, shares["page"]),
        broken=lambda: with_page(update, updates, True, shares["broken"]),
    )
    content = {
        "updates": updates,
        "rounds": arguments.rounds,
        "target": TARGET,
        "milliseconds": {name: spread([1e3 * value for value in values]) for name, values in figures.items()},
        "ratio": {name: spread(ratios(figures, name, "bare")) for name in ("page", "broken")},
        "share_of_a_core": {name: spread(values[1:]) for name, values in shares.items()},
        "broken_clients": BROKEN,
    }
    path = keep("live", ("learnrate", "numpy", "starlette", "uvicorn"), **content)
    print(json.dumps(content, indent=1), f"written: {Path(path).name}", sep="\n")


if __name__ == "__main__":
    main()
