"""Who is let in, and what a request can never do."""

import json
import socket

import pytest

from learnrate.control import Page
from learnrate.control.live import assets
from learnrate.control.live.access import Access, Allowance
from learnrate.control.live.app import LARGEST_BODY
from live_run import Client, running

SCALE = {"change": {"kind": "scale", "factor": 0.5}}
READS = (
    "/api/events?after=0",
    "/api/series?from=0&to=10&points=10",
    "/api/plan?from=0&to=10&points=10",
    "/api/stream?client=x",
)


@pytest.fixture(scope="module")
def run():
    with running() as run:
        run.steps(50)
        yield run


@pytest.fixture
def allowed(run, monkeypatch):
    """Without the limits on the rate of requests, which tests of other things would meet."""
    for name in ("_changes", "_reads", "_previews"):
        monkeypatch.setattr(getattr(run.page.server.app, name), "_burst", 10_000)
        monkeypatch.setattr(getattr(run.page.server.app, name), "_left", 10_000)
    return run


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize("token", [None, "wrong", "", "ä"])
def test_nothing_is_read_without_the_token(run, path, token):
    headers = {} if token is None else {"Authorization": f"Bearer {token}".encode()}
    assert Client(run.page, None).get(path, headers=headers).status == 401


def test_nothing_is_changed_without_the_token_or_by_readers(run):
    assert Client(run.page, None).request("POST", "/api/change", SCALE).status == 401
    assert Client(run.page, "read").request("POST", "/api/change", SCALE).status == 403
    assert Client(run.page, "read").request("POST", "/api/preview", {**SCALE, "from": 0, "to": 9}).status == 403
    assert run.control.events == []
    assert not run.control._requests


def test_a_reader_is_never_given_the_token_for_changes(allowed):
    run = allowed
    secret = run.page.server.app.access.change.encode()
    answers = [Client(run.page, "read").get(path) for path in READS[:3]]
    answers += [Client(run.page, None).get(path) for path in ("/", *(f"/assets/{name}" for name in assets.TYPES))]
    assert all(answer.status == 200 and secret not in answer.body for answer in answers)
    assert "read_token" not in answers[0].json()
    assert Client(run.page).get(READS[0]).json()["read_token"] == run.page.server.app.access.read


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "",
        "localhost.evil",
        "8.8.8.8",
        "[::1",
        "a:b:c",
        "127.0.0.1:x",
    ],
)
def test_other_hosts_are_refused(run, host):
    assert Client(run.page).get("/api/events?after=0", headers={"Host": host}).status in (400, 421)
    assert Client(run.page).get("/", headers={"Host": host}).status in (400, 421)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9000", "127.0.0.1:1", "[::1]:80", "127.3.2.1"])
def test_this_machine_by_any_name_and_behind_a_tunnel(allowed, host):
    assert Client(allowed.page).get("/api/events?after=0", headers={"Host": host}).status == 200


def cookie_of(run, token="change"):
    client = Client(run.page, token)
    answer = client.request(
        "POST", "/api/session", {"token": client.token}, bare=True, headers={"Origin": f"http://{client.host}"}
    )
    assert answer.status == 200
    text = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict"} <= {part.strip() for part in text.split(";")}
    assert client.token not in text
    return text.split(";")[0]


def test_the_cookie_stands_for_the_token_on_this_page_alone(allowed):
    run = allowed
    client, cookie = Client(run.page, None), cookie_of(run)
    own = {"Cookie": cookie, "Origin": f"http://{client.host}"}
    assert client.get("/api/events?after=0", headers=own).status == 200
    assert client.request("POST", "/api/preview", {**SCALE, "from": 0, "to": 9}, headers=own).status == 200
    for origin in (None, "http://evil.example", "null", f"http://{client.host}.evil.example", "http://127.0.0.1:1"):
        foreign = {"Cookie": cookie, "Origin": origin}
        assert client.request("POST", "/api/change", SCALE, headers=foreign).status == 403
    assert client.get("/api/events?after=0", headers={"Cookie": cookie, "Sec-Fetch-Site": "cross-site"}).status == 403
    assert run.control.events == []
    assert not run.control._requests


def test_the_cookie_of_a_reader_changes_nothing(allowed):
    client, cookie = Client(allowed.page, None), cookie_of(allowed, "read")
    headers = {"Cookie": cookie, "Origin": f"http://{client.host}"}
    assert client.get("/api/events?after=0", headers=headers).status == 200
    assert client.request("POST", "/api/change", SCALE, headers=headers).status == 403


def test_a_wrong_token_gets_no_cookie(run):
    answer = Client(run.page, None).request("POST", "/api/session", {"token": "x" * 43})
    assert answer.status == 401
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[" * 5000, 400),
        (b"\xff\xfe", 400),
        (b'{"change": {"kind": "scale", "factor": 0.5}, "why": "' + b"x" * LARGEST_BODY + b'"}', 413),
        (b"null", 422),
        (b"[]", 422),
        (b'"scale"', 422),
        (b"{}", 422),
        (b'{"change": {"kind": "eval", "code": "1"}}', 422),
        (b'{"change": {"kind": ["scale"]}}', 422),
        (b'{"change": {"kind": "scale", "factor": "0.5"}}', 422),
        (b'{"change": {"kind": "scale", "factor": NaN}}', 422),
        (b'{"change": {"kind": "scale", "factor": 1e999}}', 422),
        (b'{"change": {"kind": "scale", "factor": -1}}', 422),
        (b'{"change": {"kind": "scale"}}', 422),
        (b'{"change": {"kind": "scale", "factor": 0.5, "more": 1}}', 422),
        (b'{"change": {"kind": "cooldown", "length": 0}}', 422),
        (b'{"change": {"kind": "scale", "factor": 0.5}, "why": 5}', 422),
        (b'{"change": {"kind": "replace", "schedule": "__import__(\'os\').system(\'true\')"}}', 422),
        (b'{"change": {"kind": "replace", "schedule": "function(os.system)"}}', 422),
        (b'{"change": {"kind": "replace", "schedule": "' + b"(" * 3999 + b'"}}', 422),
        (b'{"change": {"kind": "replace", "schedule": "' + b"x" * 5000 + b'"}}', 422),
    ],
)
def test_what_is_no_request_changes_nothing(allowed, body, status):
    answer = Client(allowed.page).request("POST", "/api/change", body, headers={"Content-Type": "application/json"})
    assert answer.status == status
    assert answer.json()["error"]
    assert len(answer.body) < 2000
    assert not allowed.control._requests
    assert allowed.control.events == []


def test_a_form_of_another_site_is_no_request(run):
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = Client(run.page).request("POST", "/api/change", json.dumps(SCALE).encode(), headers={"Content-Type": kind})
        assert answer.status == 415


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_changes_are_posted(run, method):
    answer = Client(run.page).request(method, "/api/change", SCALE)
    assert answer.status == 405
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/assets/../app.py",
        "/assets/%2e%2e/app.py",
        "/assets/..%2fapp.py",
        "/assets//etc/passwd",
        "/assets/",
        "/assets/app.py",
        "/docs",
        "/openapi.json",
        "//",
        "/api",
        "/api/series/../../x",
    ],
)
def test_no_file_is_read_because_a_request_names_it(run, path):
    assert Client(run.page).get(path).status == 404


@pytest.mark.parametrize(
    "query", ["", "?from=a&to=1&points=5", "?from=nan&to=1&points=5", "?from=0&to=inf&points=5", "?from=0"]
)
def test_a_window_is_three_numbers(allowed, query):
    for name in ("series", "plan"):
        assert Client(allowed.page).get(f"/api/{name}{query}").status == 400


def test_windows_of_any_size_are_answered_with_few_points(allowed):
    for window in ("from=-1e18&to=1e18&points=1e9", "from=5&to=-5&points=-3", "from=1e17&to=1e18&points=10"):
        for name in ("series", "plan"):
            answer = Client(allowed.page).get(f"/api/{name}?{window}")
            assert answer.status == 200
            assert len(answer.body) < 400_000
    assert Client(allowed.page).get(f"/api/series?from=0&to=1&points=5&x={'y' * 2000}").status == 414


def test_changes_are_limited_in_their_rate(run, monkeypatch):
    app = run.page.server.app
    answers = {Client(run.page).request("POST", "/api/preview", {**SCALE, "from": 0, "to": 9}).status for _ in range(30)}
    assert answers == {200, 429}
    used_up = Allowance(burst=8, rate=0)
    used_up._left = 0.0
    monkeypatch.setattr(app, "_changes", used_up)
    assert Client(run.page).change(SCALE["change"]).status == 429
    assert not run.control._requests


def test_every_answer_forbids_what_the_page_does_not_need(allowed):
    client = Client(allowed.page)
    for path in ("/", "/assets/main.js", "/api/events?after=0"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


def test_two_hosts_and_headers_without_end(run):
    def raw(data):
        with socket.create_connection(("127.0.0.1", run.page.server.port), timeout=10) as connection:
            connection.sendall(data)
            return connection.recv(200)

    host = run.page.server.port
    two = raw(f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{host}\r\nHost: evil.example\r\n\r\n".encode())
    assert two.split()[1] in (b"400", b"421")
    assert b" 400 " in raw(b"GET / HTTP/1.1\r\n" + b"a: " + b"b" * 40_000)[:40]
    assert b" 400 " in raw(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")[:40]


def test_tokens_are_long_random_and_not_shown():
    first, second = Access(Page()), Access(Page())
    secrets = {first.change, first.read, second.change, second.read}
    assert len(secrets) == 4
    assert min(map(len, secrets)) >= 43
    assert not any(secret in repr(first) + str(first) for secret in secrets)
    assert first.role_of_cookie(second.cookie_of("change")) is None


def test_a_read_only_page_has_no_token_for_changes():
    with running(Page(read_only=True)) as run:
        run.step()
        assert run.page.link == run.page.read_only_link
        assert Client(run.page).change(SCALE["change"]).status == 403


def test_other_addresses_are_reached_by_their_own_names():
    access = Access(Page(host="0.0.0.0", names=("proxy.example",)))
    assert all(map(access.is_host, ("10.0.0.5:80", "proxy.example", "localhost", socket.gethostname())))
    assert not access.is_host("evil.example")
    assert not Access(Page()).is_host("proxy.example")
