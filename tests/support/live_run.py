"""A run without a model behind a live page, and requests to it that no browser would make."""

import http.client
import json
import math
import threading
import time
from contextlib import contextmanager

from learnrate import cosine, warmup
from learnrate.control import Observation, Page
from learnrate.control.running import begin

SCHEDULE = warmup(0.1, 100) >> cosine(0.1, 0.0, 19_900)


class Run:
    """A run that makes updates in a thread, as an adapter would drive it. `used` are the LRs that it used."""

    def __init__(self, page=True, schedules=(SCHEDULE,), pause=0.002):
        self.control = begin(schedules, page=page)
        self.page = self.control.listeners[0] if self.control.listeners else None
        self.used, self._pause = [], pause
        self._go, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._train, daemon=True)

    def step(self):
        n = len(self.used)
        self._schedule = self.control.schedules[0] if n == 0 else self._schedule
        value = self._schedule(n)
        self.used.append(value)
        loss = 0.3 + 2 * math.exp(-n / 700) + 0.05 * math.sin(n * n)
        self.control.observe(Observation(n, value, loss=loss, gradient_norm=1 + 0.3 * math.sin(n)))
        if n % 100 == 99:
            self.control.observe(Observation(n, value, metrics={"accuracy": 1 - math.exp(-n / 900)}))
        if self.control.settle(n + 1):
            self._schedule = self.control.schedules[0]

    def steps(self, count):
        for _ in range(count):
            self.step()
        return self

    def _train(self):
        while not self._end.is_set() and self.control.stopped is None:
            self.step()
            time.sleep(self._pause)

    def start(self):
        self._thread.start()
        return self

    def end(self):
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(5)


@contextmanager
def running(page=True, **settings):
    run = Run(page, **settings)
    try:
        yield run
    finally:
        run.end()
        run.control.close()
        if run.page is not None:
            run.page.stop()


class Client:
    """Makes requests to a page over a plain connection."""

    def __init__(self, page, token="change"):
        self.server = page.server
        self.host = f"127.0.0.1:{page.server.port}"
        access = page.server.app.access
        self.token = {"change": access.change, "read": access.read}.get(token, token)

    def request(self, method, path, body=None, headers=None, bare=False):
        own = {"Host": self.host}
        if self.token is not None and not bare:
            own["Authorization"] = f"Bearer {self.token}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            own["Content-Type"] = "application/json"
        merged = {**own, **(headers or {})}
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in merged.items():
                if value is not None:
                    connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, path, **kwargs):
        return self.request("GET", path, **kwargs)

    def change(self, change, why=""):
        return self.request("POST", "/api/change", {"change": change, "why": why})


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


def until(condition, seconds=10.0):
    """Wait for something that a thread does; fails if it does not happen."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
    return value


LOCAL = Page()
