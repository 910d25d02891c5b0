"""Answers of a hostile exchange in Alpaca's format, each as a `Fault` of the replay server."""

import itertools
import json
from datetime import datetime, timedelta

from aiohttp import web

from tests.support.replay.server import Answer, Fault, Handler

_PRICES = {"o": 1.5, "h": 1.5, "l": 1.5, "c": 1.5, "v": 1.5}


def endless_pages(rows: int, token: int = 0) -> Fault:
    """Endless pages of `rows` candles, each a microsecond later than the one before, with tokens of so many digits."""
    numbers = itertools.count()

    async def fault(request: web.Request, _: Handler) -> Answer:
        start = datetime.fromisoformat(request.query["start"])
        openings = [start + timedelta(microseconds=next(numbers)) for _ in range(rows)]
        bars = [{"t": opening.isoformat(), **_PRICES} for opening in openings]
        page = {"bars": {"BTC/USD": bars}, "next_page_token": f"{next(numbers):0{token}}"}
        return web.Response(text=json.dumps(page), content_type="application/json")

    return fault


def huge(unit: str, megabytes: int) -> Fault:
    """A JSON list that repeats `unit` up to a size."""

    async def fault(_: web.Request, __: Handler) -> Answer:
        text = ",".join([unit] * (megabytes * 2**20 // (len(unit) + 1)))
        return web.Response(text=f'{{"bars": {{"BTC/USD": [{text}]}}}}', content_type="application/json")

    return fault
