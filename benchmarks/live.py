"""The cost of a live page for a training whose update takes 5 ms: with one page open, and with 100 broken clients beside it.

    python benchmarks/live.py [--rounds 40] [--updates 200] [--python 0.5]

An update is a matrix product of NumPy, which releases the interpreter's lock, and a loop of Python, which holds it. Browsers
are played by processes of their own, which ask for what the page asks for and as often.

The page is switched on and off within one process, in blocks of a second. Off means that its thread waits for a lock, its
clients are stopped by a signal, and the run has no listener: nothing of it takes any time. A round is off, on, on, off, so
that a steady change of the machine's speed affects both alike; its ratio is the time on over the time off. The figure is the
median of the rounds, with the 95 % interval of a bootstrap over them. "met" and "missed" say that the whole interval lies on
one side of the target; on a machine that does other things it may be "undecided".

"clock" is the time of the clock. "own" is that time without the part in which the training could have computed but other
processes had the cores, as Linux counts it for each thread: what is left is its own work, and its waiting for the page. That
waiting alone, for the interpreter's lock, is "waits": "own" without the processor time, as a share of "own".

Also measured, because they depend little on what else the machine does: the share of a core that the page's thread computes,
and how often it wakes, which each time may make the training wait for the interpreter's lock. Writes
benchmarks/results/live.json; takes 7 minutes.
"""
# ruff: noqa: E402 - the number of threads is set before NumPy is imported

import argparse
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

# Before the import of NumPy: a training on the processor leaves its other cores to the page.
for threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(threads, "1")

import numpy as np
from measure import keep, ratios, spread

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

CLOCKS = ("clock", "own")

SETTLED = 40
"""Updates after a switch that are not measured."""


def timed(work: Callable[[], object], goal: float) -> int:
    """How often work has to be done to compute for a time, whatever else the machine does."""
    best = min(_seconds(work, 200) for _ in range(7)) / 200
    return round(goal / best)


def _seconds(work: Callable[[], object], times: int) -> float:
    start = time.thread_time()
    for _ in range(times):
        work()
    return time.thread_time() - start


class Update:
    """The work of an update."""

    def __init__(self, python: float) -> None:
        self.matrix = np.random.default_rng(0).normal(size=(160, 160))
        self.products = timed(self.multiply, UPDATE * (1 - python))
        self.sums = timed(self.add, UPDATE * python)

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


@contextmanager
def clients(link: str, kinds: Sequence[str]) -> Iterator[list[subprocess.Popen]]:
    """Processes that play browsers."""
    processes = []
    try:
        for kind in kinds:
            command = [sys.executable, __file__, "--play", kind, "--link", link]
            processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            processes[-1].stdout.readline()
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stdout.close()


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


class Switched:
    """A run with a page, which can be switched off and on."""

    def __init__(self, page: LivePage, control: Control, processes: list[subprocess.Popen]) -> None:
        self.page, self.control, self.processes = page, control, processes
        self.updates, self.wakes = 0, 0
        self._go = threading.Event()
        self._clock = time.pthread_getcpuclockid(page.server._thread.ident)
        selector = page.server._loop._selector
        select = selector.select

        def counted(timeout: float | None = None) -> list:
            self.wakes += 1
            return select(timeout)

        selector.select = counted

    def off(self) -> None:
        """Stop the clients, and let the page's thread wait."""
        for process in self.processes:
            process.send_signal(signal.SIGSTOP)
        self.control.listeners.clear()
        waits, self._go = threading.Event(), threading.Event()
        self.page.server._loop.call_soon_threadsafe(lambda: (waits.set(), self._go.wait()))
        waits.wait()

    def on(self) -> None:
        """Let them go on."""
        self.control.listeners.append(self.page)
        self._go.set()
        for process in self.processes:
            process.send_signal(signal.SIGCONT)

    def processor_time(self) -> float:
        """Seconds that the page's thread has computed."""
        return time.clock_gettime(self._clock)

    def train(self, update: Update, updates: int) -> dict[str, float]:
        """Mean time of an update by each clock, in seconds."""
        schedule, first = self.control.schedules[0], self.updates
        self.updates += updates
        start, waited, computed = time.perf_counter(), time_without_core(), time.thread_time()
        for n in range(first, first + updates):
            update()
            self.control.observe(Observation(n, schedule(n), loss=1.0 + 1.0 / (n + 1), gradient_norm=1.0))
            if self.control.settle(n + 1):
                schedule = self.control.schedules[0]
        waited, elapsed = time_without_core() - waited, time.perf_counter() - start
        own, computed = elapsed - waited, time.thread_time() - computed
        return {"clock": elapsed / updates, "own": own / updates, "waits": (own - computed) / own}


def time_without_core() -> float:
    """Seconds that this thread has waited for a core; NaN where the system does not count them."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return float("nan")


def measured(update: Update, kinds: Sequence[str], rounds: int, updates: int) -> dict:
    """The figures with clients of these kinds."""
    control = Control([lr.cosine(0.1, 0.0, 1_000_000)])
    page = LivePage(control, Page())
    control.listeners.append(page)
    table = {clock: {"off": [], "on": []} for clock in CLOCKS}
    waits: dict[str, list[float]] = {"off": [], "on": []}
    on_time = computed = wakes = 0.0
    try:
        with clients(page.link, kinds) as processes:
            run = Switched(page, control, processes)
            time.sleep(SETTLING if "broken" in kinds else 1.0)
            for _ in range(rounds):
                times = [block(run, update, updates, state) for state in ("off", "on", "on", "off")]
                for clock, states in table.items():
                    states["off"].append((times[0][clock] + times[3][clock]) / 2)
                    states["on"].append((times[1][clock] + times[2][clock]) / 2)
                waits["off"] += [times[0]["waits"], times[3]["waits"]]
                waits["on"] += [times[1]["waits"], times[2]["waits"]]
                for figures in times[1:3]:
                    on_time += figures["clock"] * updates
                    computed, wakes = computed + figures["computed"], wakes + figures["wakes"]
    finally:
        page.stop()
    return {
        **{clock: compared(states) for clock, states in table.items()},
        "waits": {state: spread(values) for state, values in waits.items()},
        "share_of_a_core": computed / on_time,
        "wake_ups_a_second": wakes / on_time,
    }


def block(run: Switched, update: Update, updates: int, state: str) -> dict[str, float]:
    """Mean time of an update with the page on or off; processor time and wake-ups of the page's thread."""
    if state == "off":
        run.off()
    try:
        run.train(update, SETTLED)  # what has waited meanwhile is done
        computed, wakes = run.processor_time(), run.wakes
        mean = run.train(update, updates)
        return {**mean, "computed": run.processor_time() - computed, "wakes": run.wakes - wakes}
    finally:
        if state == "off":
            run.on()


def compared(states: dict[str, list[float]]) -> dict:
    """Times of an update, and their ratio."""
    quotients = ratios(states, "on", "off")
    low, high = interval(quotients)
    return {
        "milliseconds": {state: spread([1e3 * value for value in values]) for state, values in states.items()},
        "ratio": {**spread(quotients), "low": low, "high": high},
        "reached": "met" if high <= TARGET else "missed" if low > TARGET else "undecided",
    }


def interval(values: list[float]) -> tuple[float, float]:
    """The 95 % interval of the median."""
    samples = np.random.default_rng(0).choice(values, (5000, len(values)))
    low, high = np.quantile(np.median(samples, axis=1), [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    """Measure, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--python", type=float, default=0.5, help="share of an update that is a loop of Python")
    parser.add_argument("--play", choices=("page", "broken"), help=argparse.SUPPRESS)
    parser.add_argument("--link", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.play:
        {"page": play_page, "broken": play_broken}[arguments.play](arguments.link)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # which ends the clients too
    update, load = Update(arguments.python), [os.getloadavg()[0]]
    figures = {
        name: measured(update, kinds, arguments.rounds, arguments.updates)
        for name, kinds in {"page": ["page"], "broken": ["page", "broken"]}.items()
    }
    content = {
        "updates": arguments.updates,
        "rounds": arguments.rounds,
        "python": arguments.python,
        "target": TARGET,
        "figures": figures,
        "broken_clients": BROKEN,
        "load": [*load, os.getloadavg()[0]],
    }
    path = keep("live", ("learnrate", "numpy", "starlette", "uvicorn"), **content)
    print(json.dumps(content, indent=1), f"written: {Path(path).name}", sep="\n")


if __name__ == "__main__":
    main()
