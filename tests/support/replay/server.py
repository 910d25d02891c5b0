"""The replay server and the faults of HTTP. Each exchange adds its routes."""

import asyncio
import base64
import json
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Protocol, Self

from aiohttp import ClientSession, web
from aiohttp.typedefs import Middleware
from multidict import MultiMapping
from yarl import URL

from crypto_predict.sources.network.pause import forget

Answer = web.StreamResponse
Handler = Callable[[web.Request], Awaitable[Answer]]
# Answers in place of the handler. It may call the handler for the true answer.
Fault = Callable[[web.Request, Handler], Awaitable[Answer]]
Condition = Callable[[web.Request], bool]
_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade"}  # of a connection (RFC 9110, section 7.6.1)


class Exchange(Protocol):
    """One exchange on the server."""

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return its endpoints, websockets included."""
        ...

    def unknown(self) -> web.Response:
        """Return its answer to an unknown endpoint."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as received."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case
    method: str


class ReplayServer:
    """A context manager: inside, the server answers at `url` and keeps every request in `requests`.

    It serves an exchange, or has one handler for every address.
    """

    def __init__(self, exchange: Exchange | Handler, tls: ssl.SSLContext | None = None) -> None:
        self.url = ""
        self.requests: list[Asked] = []
        self._exchange = exchange
        self._tls = tls
        self._faults: deque[tuple[Fault, Condition]] = deque()
        self._lasting: list[tuple[Fault, Condition]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="replay-server")
        self._runner: web.AppRunner | None = None

    def inject(self, fault: Fault, times: int = 1, when: Condition = lambda _: True) -> None:
        """Apply `fault` to the next `times` requests for which `when` is true, after the faults injected before."""
        self._faults.extend([(fault, when)] * times)

    @contextmanager
    def failing(self, fault: Fault, when: Condition = lambda _: True) -> Iterator[None]:
        """Apply `fault` inside the context to every request for which `when` is true and nothing is injected."""
        self._lasting.append((fault, when))
        try:
            yield
        finally:
            self._lasting.remove((fault, when))

    def __enter__(self) -> Self:
        self._thread.start()
        self.url = self._call(self._start())
        forget(self.url.partition("//")[2])  # that of an earlier server with this port
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    async def _start(self) -> str:
        application = web.Application(middlewares=[self._middleware()])
        exchange = self._exchange
        application.add_routes([web.route("*", "/{_:.*}", exchange)] if callable(exchange) else exchange.routes())
        # A stalled handler ends when its client disconnects or the server stops.
        self._runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def _middleware(self) -> Middleware:
        @web.middleware
        async def record_and_answer(request: web.Request, handler: Handler) -> Answer:
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.requests.append(Asked(request.path, dict(request.query), headers, request.method))
            met = next((fault for fault in self._faults if fault[1](request)), None)
            if met is not None:
                self._faults.remove(met)
            else:
                met = next((fault for fault in self._lasting if fault[1](request)), None)
            if met is not None:
                return await met[0](request, handler)
            if request.match_info.http_exception is not None and not callable(self._exchange):
                return self._exchange.unknown()
            return await handler(request)

        return record_and_answer


def forwarding(url: str) -> Handler:
    """Return what forwards every request to the server at `url`, and its answer unchanged: a network that can fail."""

    async def forward(request: web.Request) -> Answer:
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _HOP]
        target, body = URL(url + request.raw_path, encoded=True), await request.read()
        async with (
            ClientSession(auto_decompress=False) as session,
            session.request(request.method, target, headers=headers, data=body, allow_redirects=False) as answer,
        ):
            result = [(name, value) for name, value in answer.headers.items() if name.lower() not in _HOP]
            return web.Response(status=answer.status, headers=result, body=await answer.read())

    return forward


def check_names(given: MultiMapping[str], names: Collection[str]) -> None:
    """Raise `ValueError` if a parameter of a request is not known, or repeated."""
    if unknown := sorted(set(given) - set(names)):
        raise ValueError(f"unexpected query parameter(s): {', '.join(unknown)}")
    if repeated := sorted({name for name in given if len(given.getall(name)) > 1}):
        raise ValueError(f"repeated query parameter(s): {', '.join(repeated)}")


def answer(status: int, body: str = "", content_type: str = "application/json", **headers: str) -> Fault:
    """Give the same answer to every request; ``retry_after="3"`` becomes the header ``Retry-After: 3``."""
    named = {name.replace("_", "-").title(): value for name, value in headers.items()}

    async def fault(_: web.Request, __: Handler) -> Answer:
        return web.Response(status=status, text=body, content_type=content_type, headers=named)

    return fault


def refused(status: int, message: str, **headers: str) -> Fault:
    """Refuse with a message in JSON, like Alpaca."""
    return answer(status, json.dumps({"message": message}), **headers)


class Ban:
    """A fault: the first request is refused, and so is every one before ``Retry-After`` is over; then all are answered.

    The exchange counts, as Binance does: a request during the ban is noted in `early`, and makes the rest of the ban
    twice as long.
    """

    def __init__(self, status: int, seconds: float, *, as_date: bool = False, times: int = 1) -> None:
        self.early: list[str] = []  # paths of requests during the ban
        self._status, self._seconds, self._as_date = status, seconds, as_date
        self._until: float | None = None  # on the monotonic clock
        self._times = times  # bans, each begun by a request

    async def __call__(self, request: web.Request, handler: Handler) -> Answer:
        """Refuse, or give the true answer."""
        now = time.monotonic()
        if self._until is not None and now < self._until:
            self.early.append(request.path)
            self._seconds *= 2
        elif not self._times:
            return await handler(request)
        else:
            self._times -= 1
        self._until = now + self._seconds
        due = format_datetime(datetime.now(UTC) + timedelta(seconds=self._seconds), usegmt=True)
        wait = due if self._as_date else f"{self._seconds:.0f}"
        error = {"code": -1003, "msg": "Way too much request weight used; IP banned.", "message": "too many requests."}
        return web.json_response(error, status=self._status, headers={"Retry-After": wait})


def altered(change: Callable[[Any], Any]) -> Fault:
    """Change the JSON of the true answer; NaN is written as Python writes it."""

    async def fault(request: web.Request, handler: Handler) -> Answer:
        true = await _true_body(request, handler)
        return web.json_response(change(json.loads(true)))

    return fault


def with_headers(**headers: str) -> Fault:
    async def fault(request: web.Request, handler: Handler) -> Answer:
        true = await handler(request)
        true.headers.update({name.title(): value for name, value in headers.items()})
        return true

    return fault


def echoing(status: int) -> Fault:
    """Refuse and quote the secrets of the request, as some gateways do."""

    async def fault(request: web.Request, _: Handler) -> Answer:
        names = [name for name in request.headers if name.lower().startswith(("apca", "authorization"))]
        secrets = [request.headers[name] for name in names]
        decoded = base64.b64decode(request.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        message = f"refused: {', '.join(secrets)} {decoded} {request.url}"
        return web.json_response({"message": message}, status=status)

    return fault


async def stall(_: web.Request, __: Handler) -> Answer:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def drip_body(request: web.Request, handler: Handler) -> Answer:
    """Send the true answer, 20 bytes a second."""
    body = await _true_body(request, handler)
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await response.prepare(request)
    for at in range(len(body)):
        await response.write(body[at : at + 1])
        await asyncio.sleep(0.05)
    return response


async def drip_headers(request: web.Request, _: Handler) -> Answer:
    """Send header lines that never end, 20 bytes a second."""
    assert isinstance(request.transport, asyncio.Transport)
    request.transport.write(b"HTTP/1.1 200 OK\r\nX-Endless: ")
    while True:
        request.transport.write(b"x")
        await asyncio.sleep(0.05)


async def reset(request: web.Request, _: Handler) -> Answer:
    """Reset the connection instead of answering."""
    assert isinstance(request.transport, asyncio.Transport)
    at_once = struct.pack("ii", 1, 0)  # linger for 0 s: the kernel sends RST
    request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    request.transport.abort()
    return web.Response()


async def break_off(request: web.Request, handler: Handler) -> Answer:
    """Send the length of the true answer and half of the answer, and close."""
    body = await _true_body(request, handler)
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    assert request.transport is not None
    request.transport.close()
    return response


async def cut_json(request: web.Request, handler: Handler) -> Answer:
    """Send half of the true answer as a complete one."""
    body = await _true_body(request, handler)
    return web.Response(body=body[: len(body) // 2], content_type="application/json")


async def bomb(request: web.Request, _: Handler) -> Answer:
    """Send JSON white space without end, well compressed."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.enable_compression(web.ContentCoding.gzip)
    await response.prepare(request)
    while True:
        await response.write(b" " * 2**20)


async def _true_body(request: web.Request, handler: Handler) -> bytes:
    response = await handler(request)
    assert isinstance(response, web.Response)
    assert isinstance(response.body, bytes)
    return response.body
