"""What the server answers. Every request passes `guarded` first."""

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from learnrate.control.live import assets, changes, wire
from learnrate.control.live.access import Access, Allowance, Role
from learnrate.control.live.sources import Source
from learnrate.control.live.streams import Streams
from learnrate.errors import LearnrateError

LARGEST_BODY = 16 * 1024
"""Bytes of a request. The longest text of a schedule, written as escapes, has this many."""

LONGEST_QUERY = 1000

BODY_TIME = 10.0
"""Seconds that the body of a request may take to arrive."""

WAIT = 20.0
"""Seconds until a change that is not applied yet is answered: the run makes an evaluation, for example."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Refused(Exception):  # noqa: N818 - it is an answer, not a fault
    """A request is refused, with a status of HTTP and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


Handler = Callable[[Request], Awaitable[Response]]


class App:
    """The pages of one run.

    Attributes:
        source: The run.
        access: Who is let in.
        streams: Who watches.
        ending: Set when the page is served no more.
    """

    def __init__(self, source: Source, access: Access) -> None:
        self.source, self.access, self.streams = source, access, Streams()
        self._changes, self._reads = Allowance(burst=8, rate=1), Allowance(burst=60, rate=30)
        self._previews = Allowance(burst=10, rate=5)
        self.port, self.ending = 0, asyncio.Event()

    @property
    def cookie(self) -> str:
        """Name of the cookie. Cookies are shared by the ports of a machine, and several runs may have pages."""
        return f"learnrate_{self.port}"

    def asgi(self) -> ASGIApp:
        """The application."""
        answers: dict[str, tuple[str, Handler]] = {
            "/": ("GET", _asset("index.html")),
            **{f"/assets/{name}": ("GET", _asset(name)) for name in assets.TYPES},
            "/api/session": ("POST", self._answer(self._session)),
            "/api/series": ("GET", self._answer(self._series, "read")),
            "/api/plan": ("GET", self._answer(self._plan, "read")),
            "/api/events": ("GET", self._answer(self._events, "read")),
            "/api/preview": ("POST", self._answer(self._preview, "change")),
            "/api/change": ("POST", self._answer(self._change, "change")),
        }

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                return
            try:
                self._require_place(scope)
                request = Request(scope, receive)
                if scope["path"] == "/api/stream" and scope["method"] == "GET":
                    await self.streams.serve(_client(request), self._role(request, "read"), scope, receive, send)
                    return
                method, handle = answers.get(scope["path"], ("GET", _nothing))
                if scope["method"] != method and (scope["method"], method) != ("HEAD", "GET"):
                    raise Refused(405, f"this address is asked by {method}")
                response = await handle(request)
            except Refused as refusal:
                response = _refusal(refusal)
            await response(scope, receive, send)

        return guarded

    def _require_place(self, scope: Scope) -> None:
        """Refuse what is not addressed to this machine, or comes from the page of another site."""
        headers = Headers(scope=scope)
        if len(headers.getlist("host")) != 1 or not self.access.is_host(headers["host"]):
            raise Refused(421, "this page is not served under that name; see learnrate.control.Page(names=...)")
        if len(scope["query_string"]) > LONGEST_QUERY:
            raise Refused(414, "the address is too long")
        # The shell of the page has no secret, so a link on another site may lead to it; everything else is asked for by it.
        if scope["path"] != "/" and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise Refused(403, "requests from other sites are refused")
        if headers.get("origin") is not None and not self.access.is_same_origin(headers):
            raise Refused(403, "requests from other sites are refused")

    def _role(self, request: Request, needed: Role) -> Role:
        """What a request may do."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if token:
            role = self.access.role_of_token(token.strip()) if scheme.lower() == "bearer" else None
        else:
            role = self.access.role_of_cookie(request.cookies.get(self.cookie, ""))
            # A cookie comes along by itself, so the page must be the one that asks.
            if role is not None and request.method != "GET" and not self.access.is_same_origin(request.headers):
                raise Refused(403, "requests from other sites are refused")
        if role is None:
            raise Refused(401, "the link of this run is needed: it is printed where the run was started")
        if needed == "change" and role != "change":
            raise Refused(403, "this link is for reading only")
        return role

    def _answer(self, handle: Callable[[Request], Awaitable[Response]], needed: Role | None = None) -> Handler:
        async def answer(request: Request) -> Response:
            try:
                if needed is not None:
                    self._role(request, needed)
                self.streams.heard(_client(request))
                response = await handle(request)
            except Refused as refusal:
                return _refusal(refusal)
            except LearnrateError as error:
                return JSONResponse(changes.described(error), 422, HEADERS)
            except ClientDisconnect:
                return Response(status_code=400)
            response.headers.update(HEADERS)
            return response

        return answer

    async def _session(self, request: Request) -> Response:
        """A token for a cookie."""
        content = await _json(request)
        token = content.get("token") if isinstance(content, dict) else None
        role = self.access.role_of_token(token) if isinstance(token, str) else None
        if role is None:
            raise Refused(401, "this link does not belong to the run that is served here: open the new one")
        response = JSONResponse({"role": role})
        response.set_cookie(self.cookie, self.access.cookie_of(role), httponly=True, samesite="strict", path="/")
        return response

    def _require_read(self) -> None:
        if not self._reads.take(time.monotonic()):
            raise Refused(429, "too many requests: the page asks again soon")
        if not len(self.streams):  # then nothing else brings it up to date
            self.source.refresh()

    async def _series(self, request: Request) -> Response:
        self._require_read()
        start, end, points = _window(request)
        return Response(wire.series(self.source.history, start, end, points), media_type="application/octet-stream")

    async def _plan(self, request: Request) -> Response:
        self._require_read()
        return Response(wire.plan(self.source, *_window(request)), media_type="application/octet-stream")

    async def _events(self, request: Request) -> Response:
        self._require_read()
        after = _number(request, "after")
        original, present = self.source.schedules()
        history = self.source.history
        answer: dict[str, Any] = {
            "events": history.events_after(int(after)),
            "count": history.event_count,
            "original": [repr(schedule) for schedule in original],
            "present": [repr(schedule) for schedule in present],
        }
        if self._may_change(request):
            answer["read_token"] = self.access.read
        return JSONResponse(answer)

    def _may_change(self, request: Request) -> bool:
        try:
            return self._role(request, "change") == "change"
        except Refused:
            return False

    async def _preview(self, request: Request) -> Response:
        if not self._previews.take(time.monotonic()):
            raise Refused(429, "too many previews: wait a moment")
        content = await _json(request)
        change, _ = changes.read(content)
        window = (content.get("from", 0), content.get("to", 0))
        if not all(isinstance(value, int) and abs(value) <= wire.FARTHEST for value in window):
            raise Refused(400, "from and to must be numbers of updates")
        return JSONResponse(changes.preview(self.source, change, *window))

    async def _change(self, request: Request) -> Response:
        content = await _json(request)
        change, why = changes.read(content)
        if self.source.status != "running":
            raise Refused(409, "the run has ended")
        if self.source.refusal:
            raise Refused(409, self.source.refusal)
        changes.preview(self.source, change, 0, 1)  # raises what would be raised between two updates
        if not self._changes.take(time.monotonic()):
            raise Refused(429, "too many changes: one a second is the most")
        future = asyncio.wrap_future(self.source.request(change, why))
        # `wait` cancels nothing: a watcher who leaves does not take the change back.
        ending = asyncio.ensure_future(self.ending.wait())
        waited: set[asyncio.Future[Any]] = {future, ending}
        await asyncio.wait(waited, timeout=WAIT, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if not future.done():
            future.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            return JSONResponse({"waiting": True, "text": str(change)}, 202)
        return JSONResponse(changes.confirmation(future.result()))


def _asset(name: str) -> Handler:
    async def answer(request: Request) -> Response:
        return Response(assets.asset(name), 200, {**HEADERS, "content-type": assets.TYPES[name]})

    return answer


async def _nothing(request: Request) -> Response:
    raise Refused(404, "there is nothing at this address")


def _refusal(refusal: Refused) -> Response:
    # One without the link has to connect again, at the rate at which connections are accepted.
    more = {"connection": "close"} if refusal.status in (401, 404, 421) else {}
    return JSONResponse({"error": str(refusal)}, refusal.status, {**HEADERS, **more})


def _client(request: Request) -> str:
    """The name that a browser gave itself, for telling which watcher is alive."""
    return request.query_params.get("client", "")[:40]


def _number(request: Request, name: str) -> float:
    try:
        value = float(request.query_params[name])
    except (KeyError, ValueError):
        raise Refused(400, f"{name} must be a number") from None
    if not math.isfinite(value):
        raise Refused(400, f"{name} must be finite")
    return max(-wire.FARTHEST, min(wire.FARTHEST, value))


def _window(request: Request) -> tuple[float, float, int]:
    points = int(max(10, min(wire.MOST_POINTS, _number(request, "points"))))
    return _number(request, "from"), _number(request, "to"), points


async def _json(request: Request) -> Any:
    """The body of a request, of bounded size and time."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise Refused(415, "a request must be JSON (content-type: application/json)")
    body = b""
    try:
        async with asyncio.timeout(BODY_TIME):
            async for part in request.stream():
                body += part
                if len(body) > LARGEST_BODY:
                    raise Refused(413, f"a request has at most {LARGEST_BODY} bytes")
        return json.loads(body)
    except TimeoutError:
        raise Refused(408, "the request did not arrive in time") from None
    except (ValueError, RecursionError):
        raise Refused(400, "a request must be JSON") from None
