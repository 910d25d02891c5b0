"""Answers of a hostile exchange in Alpaca's format, each as a `Fault` of the replay server."""

import json
from datetime import datetime, timedelta

from aiohttp import web

from tests.support.replay.server import Answer, Fault, Handler

_PRICES = {"o": 1.5, "h": 1.5, "l": 1.5, "c": 1.5, "v": 1.5}


async def full_page(request: web.Request, _: Handler) -> Answer:
    """A page of 10,000 candles, each a microsecond later than the one before, with the token of another one."""
    start = datetime.fromisoformat(request.query["start"])
    openings = [start + timedelta(microseconds=number) for number in range(10_000)]
    page = {
        "bars": {"BTC/USD": [{"t": opening.isoformat(), **_PRICES} for opening in openings]},
        "next_page_token": "x",
    }
    return web.Response(text=json.dumps(page), content_type="application/json")


def huge(unit: str, megabytes: int) -> Fault:
    """A JSON list that repeats `unit` up to a size."""

    async def fault(_: web.Request, __: Handler) -> Answer:
        text = ",".join([unit] * (megabytes * 2**20 // (len(unit) + 1)))
        return web.Response(text=f'{{"bars": {{"BTC/USD": [{text}]}}}}', content_type="application/json")

    return fault
