"""Connecting to a live stream; why one has ended, in words that continue the name of its host, and who was down."""

import http.client
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from crypto_predict.market.clock import Clock
from crypto_predict.sources.network.pause import REFUSALS, pause_of
from crypto_predict.sources.network.wire import Malformed

_PLACE = 451  # of a handshake: the exchange is closed to this place; 403, 418 and 429 are for this machine alone
_DOWN_CODES = frozenset({1011, 1012, 1013})  # of a closing frame: internal error, restart, try again later
_CLOSE_WITHIN = 0.3  # seconds: the process has three to stop
# The library logs headers and frames at DEBUG; an address may contain a password.
_frames_log = logging.getLogger(f"{__name__}.frames")
_frames_log.setLevel(logging.ERROR)


class Broken(Exception):
    """The connection cannot be used any more; the message continues the name of the host."""


class StreamEnd(NamedTuple):
    """The end of a connection."""

    reason: str
    exchange_down: bool = False  # the exchange has answered that it is not available


def check_pause(exchange: str) -> None:
    """Raise if a handshake must not be tried now; `exchange` is the host of REST, whose bans are those of the address.

    Raises:
        Broken: The exchange has asked this process to wait.
    """
    if (refused := pause_of(exchange).now(stream=True)) is not None:
        raise Broken(f"{refused}: it has answered {refused.answer}")


class _Connect(connect):
    """Connect, and refuse a redirect: it could lead to any host."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def dial(url: str, longest: int) -> ClientConnection:
    """Connect to a stream, whose messages have at most `longest` bytes. The caller bounds the time, and sends pings.

    Raises:
        OSError: The network failed.
        WebSocketException: The handshake failed.
    """
    return await _Connect(
        url,
        compression=None,  # messages are short, and a compressed one may be a bomb
        open_timeout=None,
        ping_interval=None,
        close_timeout=_CLOSE_WITHIN,
        max_size=longest,
        logger=_frames_log,
    )


def refused(status: int, headers: Mapping[str, str], exchange: str) -> StreamEnd:
    """Describe a handshake that was answered with a status of HTTP other than 101; `exchange` is the host of REST.

    If the exchange asks to wait, all questions of this process wait.
    """
    if status in REFUSALS:
        pause_of(exchange).refused(status, headers, stream=True)
    reason = f"answered {status} {http.client.responses.get(status, '')}".rstrip()
    return StreamEnd(f"{reason} to the handshake", status >= 500 or status == _PLACE)


def closed(code: int | None, detail: str) -> StreamEnd:
    """Describe a connection that ended, with the code of the exchange's closing frame; None without one."""
    return StreamEnd(f"closed the connection: {detail}", code in _DOWN_CODES)


def unreachable(detail: str) -> StreamEnd:
    """Describe a connection that could not be made, or that the network has cut."""
    return StreamEnd(f"cannot be reached: {detail}; check the network and the address")


def of_error(error: Exception, exchange: str, detail: str, rest: str = "") -> StreamEnd:
    """Describe what a connection to `exchange` has raised; `detail` is its message without secrets.

    `rest` is the host of the exchange's REST, which shares its pause.
    """
    match error:
        case Broken():
            return StreamEnd(detail)
        case Malformed():
            return StreamEnd(f"sent a message that is not in {exchange}'s format: {detail}")
        case InvalidStatus():
            return refused(error.response.status_code, error.response.headers, rest)
        case ConnectionClosed():
            return closed(None if error.rcvd is None else error.rcvd.code, detail)
        case OSError():
            return unreachable(detail)
        case _:
            return StreamEnd(f"did not complete the handshake: {detail}")


@asynccontextmanager
async def within(clock: Clock, seconds: float, step: str) -> AsyncIterator[None]:
    """Bound a step of the exchange's, such as ``answer a ping``, to seconds of the market.

    Raises:
        Broken: It took longer.
    """
    try:
        async with clock.timeout(seconds):
            yield
    except TimeoutError:
        raise Broken(f"did not {step} within {seconds:g} s") from None
