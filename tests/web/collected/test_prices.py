"""``/prices`` of real databases, through the whole application."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from werkzeug.test import Client

from crypto_predict.market import DAY, Interval, Pair, SeriesKey
from crypto_predict.market.collected import STOPPED
from crypto_predict.store import open_writer
from tests.support.applications import client
from tests.support.collected import END, LATE, MINUTES, TETHER, days, minutes
from tests.support.models import make_model

MINUTE = timedelta(minutes=1)


def prices(served: Client) -> list[dict[str, Any]]:
    response = served.get("/prices")
    assert response.status_code == 200, response.data
    result = json.loads(response.data)
    assert isinstance(result, list)
    return result


def test_each_pair_has_the_price_that_candles_end_with(served: Client) -> None:
    """Where no source is asked for, real candles come before simulated ones, even if these are newer."""
    bitcoin, tether = prices(served)
    last, before = days()[-1].close, days()[-2].close
    change = pytest.approx(last / before - 1, abs=1e-6)
    price = {"price": last, "time": "2026-11-04T00:00:00Z", "change_24h": change}
    assert bitcoin == {"pair": "BTC/USD", "source": "alpaca", "simulated": False, "state": "active", **price}
    stored = {minute.open_time: minute.close for minute in minutes(seed=3)}
    last, before = stored[END - MINUTE], stored[END - MINUTE - DAY]
    assert (tether["pair"], tether["source"], tether["price"]) == ("BTC/USDT", "binance", last)
    assert (tether["time"], tether["change_24h"]) == (
        "2026-11-04T09:47:00Z",
        pytest.approx(last / before - 1, abs=1e-6),
    )
    for last_price in (bitcoin, tether):
        page = json.loads(served.get(f"/candles/{last_price['pair'].replace('/', '-')}?limit=1").data)
        assert (page["source"], page["candles"][-1][4]) == (last_price["source"], last_price["price"])


def test_the_shortest_interval_of_a_source_has_the_newest_price(own_url: str) -> None:
    hours = SeriesKey(TETHER.source, TETHER.pair, Interval.HOUR_1)
    with open_writer(own_url) as writer:
        for series in (hours, TETHER):
            writer.follow(series, simulated=False)
        writer.write(TETHER, minutes())
        writer.write(hours, [minutes()[0]._replace(open_time=Interval.HOUR_1.floor(END) - timedelta(hours=1))])
    (price,) = prices(client(make_model(), lambda: LATE, database=own_url))
    assert price["time"] == "2026-11-04T09:47:00Z"


def test_a_pair_without_candles_is_listed_and_a_stopped_one_keeps_its_price(own_url: str) -> None:
    empty = SeriesKey("binance", Pair("1INCH", "USDT"), Interval.MINUTE_1)
    with open_writer(own_url) as writer:
        writer.follow(empty, simulated=False)
        writer.follow(MINUTES, simulated=True)
        writer.write(MINUTES, minutes()[:1])
        writer.set_state(MINUTES, STOPPED)
    test_response = client(make_model(), lambda: LATE, database=own_url).get("/prices")
    first, second = json.loads(test_response.data)
    assert (first["pair"], first["state"]) == ("1INCH/USDT", "active")
    assert [first[name] for name in ("price", "time", "change_24h")] == [None, None, None]
    assert (second["state"], second["price"], second["change_24h"]) == ("stopped", minutes()[0].close, None)
    assert test_response.headers["Crypto-Predict-Simulated"] == "true"


def test_an_empty_database_answers_with_an_empty_list(own_url: str) -> None:
    with open_writer(own_url):
        pass
    assert prices(client(make_model(), lambda: LATE, database=own_url)) == []


def test_the_database_is_read_once_until_the_next_close(own_url: str) -> None:
    """Two seconds are left for the collector to store the candle. A clock that was set back does not freeze prices."""
    times: list[datetime] = []
    with open_writer(own_url) as writer:
        writer.follow(TETHER, simulated=False)
        *stored, last = minutes()
        writer.write(TETHER, stored)
        served = client(make_model(), lambda: times[-1], database=own_url)

        def at(moment: datetime) -> tuple[float, str]:
            times.append(moment)
            response = served.get("/prices")
            return json.loads(response.data)[0]["price"], response.headers["Cache-Control"]

        old, new = stored[-1].close, last.close
        assert at(LATE) == (old, "public, max-age=52")
        writer.write(TETHER, [last])
        assert at(END + timedelta(seconds=61)) == (old, "public, max-age=1")
        assert at(END + timedelta(seconds=61, milliseconds=999)) == (old, "no-cache")
        assert at(END + timedelta(seconds=63)) == (new, "public, max-age=59")
        writer.write(TETHER, [last._replace(open_time=END, close=last.close + 0.5)])
        assert at(LATE) == (last.close + 0.5, "public, max-age=52")
