"""Deribit on the replay server: its volatility index of days, ``GET /public/get_volatility_index_data``.

An answer has the newest days of the span, ascending, and where days before them are left the opening of the newest of
those as ``continuation``. What is wrong is refused as JSON-RPC does.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from typing import Any

from aiohttp import web

from crypto_predict.market import EPOCH
from tests.support.replay.server import check_names

PATH = "/public/get_volatility_index_data"


class DeribitIndex:
    """Serves the closes of the index by currency and day, in answers of at most `most` days.

    `unit` is 100 for an index in per cent, and `opening` the time of day at which its days begin.
    """

    def __init__(
        self, index: Mapping[str, Mapping[date, float]], most: int = 1000, unit: float = 100.0, opening: time = time()
    ) -> None:
        self._rows = {
            currency: sorted(
                [_milliseconds(datetime.combine(day, opening, UTC)), *[unit * close] * 4]
                for day, close in closes.items()
            )
            for currency, closes in index.items()
        }
        self._most = most

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return the endpoint."""
        return [web.get(PATH, self._index)]

    def unknown(self) -> web.Response:
        """Return the answer to an unknown endpoint."""
        return _refused(404, -32601, "Method not found")

    async def _index(self, request: web.Request) -> web.Response:
        names = ["currency", "start_timestamp", "end_timestamp", "resolution"]
        try:
            check_names(request.query, names)
            currency, start, end, resolution = (request.query[name] for name in names)
            first, last = int(start), int(end)
        except (ValueError, KeyError):
            return _refused(400, -32602, "Invalid params")
        if resolution != "1D" or currency not in self._rows:
            return _refused(400, -32602, "Invalid params")
        span = [row for row in self._rows[currency] if first <= row[0] <= last]
        page, before = span[-self._most :], span[: -self._most]
        result = {"data": page, "continuation": before[-1][0] if before else None}
        return web.json_response({"jsonrpc": "2.0", "result": result, "testnet": False})


def _milliseconds(instant: datetime) -> int:
    return math.floor((instant - EPOCH).total_seconds() * 1000)


def _refused(status: int, code: int, message: str) -> web.Response:
    error: dict[str, Any] = {"message": message, "data": {"reason": "wrong format", "param": "currency"}, "code": code}
    return web.json_response({"jsonrpc": "2.0", "error": error, "testnet": False}, status=status)
