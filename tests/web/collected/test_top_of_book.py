"""``/top-of-book/{pair}`` of real databases, through the whole application."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from crypto_predict.market import Quote
from crypto_predict.store import WritableDatabase
from tests.support.applications import client
from tests.support.collected import BTC, END, MINUTES, quotes
from tests.support.models import make_model

COLUMNS = ["time", "bid", "bid_size", "ask", "ask_size"]


def read(response: TestResponse) -> list[Quote]:
    assert response.status_code == 200, response.data
    answer: dict[str, Any] = json.loads(response.data)
    assert answer["columns"] == COLUMNS
    return [Quote(datetime.fromisoformat(time), *numbers) for time, *numbers in answer["quotes"]]


def test_quotes_are_served_as_they_were_written(served: Client) -> None:
    """Every number and microsecond survives the database and the JSON."""
    assert read(served.get("/top-of-book/BTC-USD")) == quotes()


def test_a_pair_without_quotes_has_an_empty_page(served: Client) -> None:
    """Its candles were collected, its book was not."""
    response = served.get("/top-of-book/BTC-USDT")
    assert read(response) == []
    assert response.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(("seconds", "expected"), [(5, "public, max-age=56"), (61, "no-cache"), (9_999, "no-cache")])
def test_an_answer_may_be_cached_until_the_next_quote_is_due(seconds: int, expected: str, url: str) -> None:
    """A minute after the newest one, and a second for its way."""
    now = quotes()[-1].time + timedelta(seconds=seconds)
    assert (
        client(make_model(), lambda: now, database=url).get("/top-of-book/BTC-USD").headers["Cache-Control"] == expected
    )


def test_the_etag_changes_with_a_quote(writer: WritableDatabase, own: Client) -> None:
    writer.write_quotes(MINUTES.source, BTC, quotes())
    condition = {"If-None-Match": own.get("/top-of-book/BTC-USD").headers["ETag"]}
    assert own.get("/top-of-book/BTC-USD", headers=condition).status_code == 304
    writer.write_quotes(MINUTES.source, BTC, [Quote(END, 1.0, 1.0, 2.0, 1.0)])
    assert own.get("/top-of-book/BTC-USD", headers=condition).status_code == 200
