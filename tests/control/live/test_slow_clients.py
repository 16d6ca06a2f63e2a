"""Clients that are slow, silent or broken: the run does not wait for them, and others are served."""

import http.client
import json
import socket
import time
from contextlib import ExitStack, closing, nullcontext

import pytest

from learnrate.control import Scale
from learnrate.control.live import connections as door
from learnrate.control.live import server, streams
from live_run import Client, running, until


def stream(page, name, read=True):
    """A connection to the stream of a page."""
    connection = socket.create_connection(("127.0.0.1", page.server.port), timeout=10)
    token = page.server.app.access.change
    connection.sendall(
        f"GET /api/stream?client={name} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )
    if read:
        assert b"200 OK" in connection.recv(300)
    return connection


def connected(page):
    """A connection that has sent nothing."""
    return socket.create_connection(("127.0.0.1", page.server.port), timeout=10)


def closed(connection):
    """Whether the server has closed a connection."""
    connection.setblocking(False)
    try:
        return connection.recv(65536) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def messages(page, count, name="reader"):
    """The next messages of a page."""
    client = Client(page, "read")
    with closing(http.client.HTTPConnection("127.0.0.1", page.server.port, timeout=10)) as connection:
        connection.request("GET", f"/api/stream?client={name}", headers={"Authorization": f"Bearer {client.token}"})
        with connection.getresponse() as answer:
            client.get(f"/api/events?after=0&client={name}")  # as a page does, which is looked at
            lines = (line for line in iter(answer.readline, b"") if line.startswith(b"data: "))
            return [json.loads(next(lines)[6:]) for _ in range(count)]


def test_every_watcher_sees_the_same():
    with running() as run:
        run.steps(5).start()
        first, second = messages(run.page, 2, "a"), messages(run.page, 2, "b")
        assert first[0]["update"] <= first[1]["update"] <= second[-1]["update"]
        assert first[0].keys() == second[0].keys()
        assert not first[0]["can_change"]
        until(lambda: len(run.page.server.app.streams) == 0)


@pytest.mark.slow
def test_100_broken_clients(monkeypatch):
    monkeypatch.setattr(door, "WAITING_TIME", 1.0)
    monkeypatch.setattr(streams, "PATIENCE", 1.0)
    with running() as run, ExitStack() as clients:
        run.steps(100)
        openings = [
            b"",
            b"GET / HTTP/1.1\r\nHost:",
            b"\x16\x03\x01\x02\x00\x01",
            b"POST /api/change HTTP/1.1\r\nHost: 127.0.0.1\r\n",
        ]
        for number in range(100):
            silent = number % 5 == 4
            connection = clients.enter_context(
                stream(run.page, f"silent{number}", read=False) if silent else connected(run.page)
            )
            if not silent:
                connection.sendall(openings[number % 5])
        # None of it is seen by the run: an update, with its listeners, takes microseconds.
        times = []
        for _ in range(300):
            start = time.perf_counter()
            run.step()
            times.append(time.perf_counter() - start)
        assert sorted(times)[150] < 0.001
        assert until(lambda: Client(run.page).get("/api/events?after=0"), 20).status == 200
        assert messages(run.page, 1)[0]["status"] == "running"
        connections = run.page.server._uvicorn.server_state.connections
        until(lambda: run.page.server.door.waiting == 0, 15)  # those that never made a request are closed
        assert len(connections) <= 20 + 2
        clients.close()
        until(lambda: len(connections) == 0 and len(run.page.server.app.streams) == 0)


def test_watchers_are_limited_and_the_silent_one_gives_way(monkeypatch):
    monkeypatch.setattr(streams, "MOST_WATCHERS", 3)
    with running() as run, ExitStack() as clients:
        run.step()
        for number in range(3):
            clients.enter_context(stream(run.page, f"client{number}"))
        until(lambda: len(run.page.server.app.streams) == 3)
        for number in (0, 2):
            Client(run.page).get(f"/api/events?after=0&client=client{number}")
        clients.enter_context(stream(run.page, "client3"))
        until(
            lambda: {watcher.name for watcher in run.page.server.app.streams._watchers} == {"client0", "client2", "client3"}
        )


def test_connections_that_say_nothing_are_limited_and_the_oldest_one_gives_way(monkeypatch):
    monkeypatch.setattr(door, "MOST_WAITING", 5)
    with running() as run, ExitStack() as clients:
        run.step()
        silent = [clients.enter_context(connected(run.page)) for _ in range(12)]
        until(lambda: closed(silent[6]))
        assert [closed(client) for client in silent] == 7 * [True] + 5 * [False]
        assert run.page.server.door.waiting == 5
        assert Client(run.page).get("/api/events?after=0").status == 200
        assert closed(silent[7])
        assert not closed(silent[-1])


def test_connections_with_a_request_are_limited_and_an_idle_one_gives_way(monkeypatch):
    monkeypatch.setattr(door, "MOST_CONNECTIONS", 3)
    with running() as run, ExitStack() as clients:
        run.step()
        watching = [clients.enter_context(stream(run.page, f"client{number}")) for number in range(2)]
        for _ in range(6):
            idle = clients.enter_context(connected(run.page))
            idle.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert b" 200 " in idle.recv(100)
        assert len(run.page.server._uvicorn.server_state.connections) == 3
        assert not any(map(closed, watching))
        watching.append(clients.enter_context(stream(run.page, "client2")))
        # All of them are in use now, so a further one is refused.
        with connected(run.page) as further:
            further.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert further.recv(100) == b""


def test_a_head_in_few_parts_is_a_request_and_one_in_many_is_left_alone():
    with running() as run:
        run.step()
        head = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        for size, answered in ((9, True), (1, False)):
            with connected(run.page) as connection:
                for start in range(0, len(head), size):
                    connection.sendall(head[start : start + size])
                    time.sleep(0.01)
                connection.settimeout(1.0)
                with nullcontext() if answered else pytest.raises(TimeoutError):
                    assert b" 200 " in connection.recv(100)


def wake_ups(run, seconds):
    """How often the thread of a page wakes within a time."""
    selector, count = run.page.server._loop._selector, []
    select = selector.select
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selector, "select", lambda timeout=None: (count.append(timeout), select(timeout))[1])
        time.sleep(seconds)
        return len(count)


@pytest.mark.slow
def test_a_page_that_nobody_looks_at_and_clients_that_say_nothing_do_not_wake_it():
    with running() as run, ExitStack() as clients:
        run.steps(10).start()
        time.sleep(0.3)
        assert wake_ups(run, 1.0) <= 3
        for number in range(40):
            connection = clients.enter_context(connected(run.page))
            connection.sendall((b"", b"GET / HTTP/1.1\r\nHost:", b"\x16\x03\x01\x02")[number % 3] or b" ")
        until(lambda: run.page.server.door.waiting == 40)
        time.sleep(0.3)
        assert wake_ups(run, 1.0) <= 3
        # Several watchers are told in the same wake-up.
        for number in range(20):
            clients.enter_context(stream(run.page, f"client{number}"))
        time.sleep(0.3)
        assert wake_ups(run, 1.0) <= 3
        for number in range(8):
            Client(run.page).get(f"/api/events?after=0&client=client{number}")
        time.sleep(0.3)
        assert 2 <= wake_ups(run, 1.5) <= 12


def test_events_wake_the_page_once_however_many_there_are():
    with running() as run, ExitStack() as clients:
        clients.enter_context(stream(run.page, "client"))
        run.step()
        time.sleep(0.3)
        woken = []
        call = run.page.server._loop.call_soon_threadsafe
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run.page.server._loop, "call_soon_threadsafe", lambda *args: (woken.append(args), call(*args)))
            for _ in range(20):
                run.control.request(Scale(0.99))
                run.step()
        assert len(run.control.events) == 20
        assert 1 <= len(woken) <= 3
        assert messages(run.page, 1)[0]["events"] == 20


@pytest.mark.slow
def test_one_who_does_not_read_is_dropped(monkeypatch, caplog):
    monkeypatch.setattr(streams, "PATIENCE", 0.3)
    monkeypatch.setattr(streams, "RARELY", 0.0)
    monkeypatch.setattr(server, "UNWATCHED", 0.1)
    with running() as run:
        run.step()
        app = run.page.server.app
        with stream(run.page, "silent", read=False):
            until(lambda: len(app.streams) == 1)
            # A message of this size fills the buffers of the system; those of a run take hours to do so.
            run.page.title = "x" * 20_000_000
            run.page.server.wake()
            until(lambda: len(app.streams) == 0)
            until(lambda: len(run.page.server._uvicorn.server_state.connections) == 0)
        assert caplog.text == ""


def test_a_second_request_that_stays_incomplete(monkeypatch):
    monkeypatch.setattr(door, "REQUEST_TIME", 0.3)
    with running() as run, connected(run.page) as connection:
        run.step()
        for part in (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"GET / HTTP/1.1\r\nHos"):
            connection.sendall(part)
            time.sleep(0.1)
        connections = run.page.server._uvicorn.server_state.connections
        assert len(connections) == 1
        until(lambda: not connections)


def test_a_body_that_never_arrives_ends_in_an_answer(monkeypatch):
    monkeypatch.setattr("learnrate.control.live.app.BODY_TIME", 0.3)
    with running() as run:
        run.step()
        token = run.page.server.app.access.change
        head = f"POST /api/change HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        with socket.create_connection(("127.0.0.1", run.page.server.port), timeout=10) as connection:
            connection.sendall(f"{head}Content-Length: 50\r\n\r\n{{".encode())
            assert b" 408 " in connection.recv(300)


def test_connections_that_come_again_and_again_are_taken_slowly(monkeypatch):
    monkeypatch.setattr(door, "CONNECTIONS_A_SECOND", 4)
    monkeypatch.setattr(door, "CONNECTIONS_AT_ONCE", 60)
    with running() as run:
        run.step()
        start, count = time.monotonic(), 0
        while time.monotonic() < start + 1.0 or count < 60:
            with connected(run.page) as connection:
                connection.sendall(b"x\r\n\r\n")
                assert b" 400 " in connection.recv(100)
            count += 1
        # 60 at once, and 4 a second; with the pauses of 0.2 s a few more or less.
        assert count <= 60 + 4 * (time.monotonic() - start) + 3
