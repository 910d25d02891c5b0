"""Answers of a hostile exchange in Alpaca's format, each as a `Fault` of the replay server."""

import itertools
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from tests.support.replay.server import Answer, Fault, Handler

_PRICES = {"o": 1.5, "h": 1.5, "l": 1.5, "c": 1.5, "v": 1.5}


def endless_pages(rows: int) -> Fault:
    """Endless pages of `rows` candles, each a microsecond later than the one before."""
    numbers = itertools.count()

    def page(start: datetime) -> dict[str, Any]:
        openings = [start + timedelta(microseconds=next(numbers)) for _ in range(rows)]
        bars = [{"t": opening.isoformat(), **_PRICES} for opening in openings]
        return {"bars": {"BTC/USD": bars}, "next_page_token": f"token {next(numbers)}"}

    return _answering(page)


def endless_tokens(length: int) -> Fault:
    """Endless pages of one candle, with page tokens of `length` characters."""
    numbers = itertools.count()

    def page(start: datetime) -> dict[str, Any]:
        number = next(numbers)
        bar = {"t": (start + timedelta(microseconds=number)).isoformat(), **_PRICES}
        return {"bars": {"BTC/USD": [bar]}, "next_page_token": f"{number:0{length}}"}

    return _answering(page)


def huge(unit: str, megabytes: int) -> Fault:
    """A JSON list that repeats `unit` up to a size."""

    async def fault(_: web.Request, __: Handler) -> Answer:
        text = ",".join([unit] * (megabytes * 2**20 // (len(unit) + 1)))
        return web.Response(text=f'{{"bars": {{"BTC/USD": [{text}]}}}}', content_type="application/json")

    return fault


def _answering(page: Callable[[datetime], dict[str, Any]]) -> Fault:
    async def fault(request: web.Request, _: Handler) -> Answer:
        start = datetime.fromisoformat(request.query["start"])
        return web.Response(text=json.dumps(page(start)), content_type="application/json")

    return fault
