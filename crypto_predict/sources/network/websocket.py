"""Connecting to a live stream; why a connection has ended, in words that continue the name of its host."""

import http.client
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from crypto_predict.market.clock import Clock
from crypto_predict.sources.exchange import Exchange
from crypto_predict.sources.network.pause import REFUSALS, pause_of
from crypto_predict.sources.network.wire import Malformed

LONGEST_MESSAGE = 2**20  # bytes; one with a trade of 1,000 pairs has 200,000

_PLACE = 451  # of a handshake: the exchange is closed to this place; 403, 418 and 429 are for this machine alone
_DOWN_CODES = frozenset({1011, 1012, 1013})  # of a closing frame: internal error, restart, try again later
_CLOSE_WITHIN = 0.3  # seconds: the process has three to stop
# The library logs headers and frames at DEBUG; an address may contain a password, and a frame the keys.
_frames_log = logging.getLogger(f"{__name__}.frames")
_frames_log.setLevel(logging.ERROR)


class Broken(Exception):
    """The connection cannot be used any more; the message continues the name of the host."""

    def __init__(self, reason: str, *, exchange_down: bool = False) -> None:
        super().__init__(reason)
        self.exchange_down = exchange_down  # the exchange has answered that it is not available


class _Connect(connect):
    """Connect, and refuse a redirect: it could lead to any host, which would receive the keys."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def dial(url: str, headers: Mapping[str, str]) -> ClientConnection:
    """Connect to a stream. The caller bounds the time, and sends pings."""
    return await _Connect(
        url,
        additional_headers=headers,
        compression=None,  # messages are short, and a compressed one may be a bomb
        open_timeout=None,
        ping_interval=None,
        close_timeout=_CLOSE_WITHIN,
        max_size=LONGEST_MESSAGE,
        logger=_frames_log,
    )


def broken(error: Exception, exchange: Exchange, sanitize: Callable[[str], str], rest: str) -> Broken:
    """Describe what a connection to `exchange` has raised. Its REST, on the host `rest`, shares the pause."""
    detail = sanitize(str(error))
    match error:
        case Broken():
            return error
        case Malformed():
            return Broken(f"sent a message that is not in {exchange.name}'s format: {detail}")
        case InvalidStatus():
            status = error.response.status_code
            if status in REFUSALS:
                pause_of(rest).refused(status, error.response.headers, stream=True)
            answer = f"answered {status} {http.client.responses.get(status, '')}".rstrip()
            return Broken(f"{answer} to the handshake", exchange_down=status >= 500 or status == _PLACE)
        case ConnectionClosed():
            is_down = error.rcvd is not None and error.rcvd.code in _DOWN_CODES
            return Broken(f"closed the connection: {detail}", exchange_down=is_down)
        case OSError() | UnicodeError():
            return Broken(f"cannot be reached: {detail}; check the network and the address")
        case _:
            return Broken(f"did not complete the handshake: {detail}")


@asynccontextmanager
async def within(clock: Clock, seconds: float, step: str) -> AsyncIterator[None]:
    """Bound a step of the exchange's, such as ``answer a ping``, to seconds of the market."""
    try:
        async with clock.timeout(seconds):
            yield
    except TimeoutError:
        raise Broken(f"did not {step} within {seconds:g} s") from None
