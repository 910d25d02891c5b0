"""``/minutes/{pair}`` of real databases, through the whole application."""

import json
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from crypto_predict.market import DAY, Interval, SeriesKey, Span
from crypto_predict.market.collected import DELISTED, STOPPED, BuiltCandle, StreamSpan, StreamState
from crypto_predict.store import WritableDatabase, open_writer
from crypto_predict.web.collected.minutes import TABLE
from tests.support.applications import client
from tests.support.collected import BTC, END, GAPS, LATE, MINUTES, NOON, START, days, minutes
from tests.support.models import make_model

MINUTE = timedelta(minutes=1)
CANDLE = slice(4, 14)  # columns
BUILT = slice(14, 22)


def read(response: TestResponse) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.data
    answer = json.loads(response.data)
    assert answer["columns"] == list(TABLE.columns)
    return [dict(zip(answer["columns"], row, strict=True)) for row in answer["minutes"]]


def openings(response: TestResponse) -> list[datetime]:
    return [datetime.fromisoformat(minute["time"]) for minute in read(response)]


def of_span(span: Span) -> str:
    return f"/minutes/BTC-USD?start={span.start:%Y-%m-%dT%H:%MZ}&end={span.end:%Y-%m-%dT%H:%MZ}&limit=10000"


def test_every_minute_of_a_day_has_a_verdict_and_its_candle(served: Client) -> None:
    """None is left out: where the source has no candle, the numbers are null. The candles are those of /candles."""
    span = "start=2026-11-02&end=2026-11-03&limit=1440&source=simulated"
    response = served.get(f"/minutes/BTC-USD?{span}")
    result = read(response)
    candles = {
        row[0]: row[1:] for row in json.loads(served.get(f"/candles/BTC-USD?interval=1m&{span}").data)["candles"]
    }
    assert [minute["time"] for minute in result] == [
        f"2026-11-02T{number // 60:02}:{number % 60:02}:00Z" for number in range(1440)
    ]
    for row, minute in zip(json.loads(response.data)["minutes"], result, strict=True):
        candle = candles.get(minute["time"])
        assert row[CANDLE] == (candle or [None] * 10)
        assert row[BUILT] == [None] * 8
        verdict = "disconnected" if candle is None else "traded" if candle[4] else "quiet"
        assert (minute["verdict"], minute["asked"]) == (verdict, True)
    assert Counter(minute["verdict"] for minute in result)["disconnected"] == 1 + 28 + 180


def test_a_missing_candle_is_explained_by_the_stream(writer: WritableDatabase, own: Client) -> None:
    """Connected: nobody traded. Otherwise the reason is that of the stream, if there was one."""
    hours = [NOON + timedelta(hours=hour) for hour in range(3, 7)]
    states = [(StreamState.CONNECTED, ""), (StreamState.DISCONNECTED, "silence"), (StreamState.EXCHANGE_DOWN, "503")]
    writer.write(MINUTES, minutes(), Span(START, END))
    for (state, reason), start, end in zip(states, hours, hours[1:], strict=False):
        writer.write_streams(MINUTES.source, [BTC], StreamSpan(Span(start, end), state, reason))
    result = read(own.get(of_span(Span(hours[0] - MINUTE, hours[3] + MINUTE))))
    explained = [(minute["verdict"], minute["reason"], minute["close"] is None) for minute in result]
    assert explained[1:-1] == [
        *[("quiet", "", True)] * 60,
        *[("disconnected", "silence", True)] * 60,
        *[("exchange down", "503", True)] * 60,
    ]
    assert {explained[0][2], explained[-1][2]} == {False}
    (unknown, *_) = read(own.get(of_span(GAPS[0])))
    assert (unknown["verdict"], unknown["reason"]) == ("disconnected", "no live stream was recorded")


def test_a_hole_of_the_exchange_is_told_apart_from_one_of_ours(writer: WritableDatabase, own: Client) -> None:
    """What was not asked for can still come."""
    hole = Span(NOON, NOON + timedelta(minutes=2))
    for span in (Span(START, hole.start), Span(hole.end, END)):
        writer.write(MINUTES, [candle for candle in minutes() if candle.open_time in span], span)
    result = read(own.get(of_span(Span(NOON - MINUTE, GAPS[0].end))))
    answered = [(minute["asked"], minute["close"] is None) for minute in result]
    assert answered == [(True, False), (False, True), (False, True), (True, False), (True, True)]


def test_candles_built_from_ticks_stand_beside_those_of_the_exchange(writer: WritableDatabase, own: Client) -> None:
    """They say how complete they are; those of an earlier version have no volume."""
    writer.write(MINUTES, minutes(END - 9 * MINUTE, END), Span(END - 9 * MINUTE, END))
    built = [
        BuiltCandle(END - 3 * MINUTE, 2.0, 4.0, 1.0, 3.0, ticks=17, late=2, partial=True, volume=0.5),
        BuiltCandle(END - MINUTE, 3.0, 3.0, 3.0, 3.0, ticks=1, late=0, partial=False),
    ]
    writer.write_built({MINUTES: built})
    response = own.get("/minutes/BTC-USD?limit=3")
    rows = json.loads(response.data)["minutes"]
    assert [row[BUILT] for row in rows] == [
        [2.0, 4.0, 1.0, 3.0, 0.5, 17, 2, True],
        [None] * 8,
        [3.0, 3.0, 3.0, 3.0, None, 1, 0, False],
    ]
    assert all(row[CANDLE.start] is not None for row in rows)


@pytest.mark.parametrize(
    ("now", "newest"),
    [
        (LATE, END),
        (END + MINUTE + timedelta(seconds=59), END),  # its candle may still come
        (END + 2 * MINUTE, END + MINUTE),
        (END + 90 * MINUTE + timedelta(seconds=30), END + 89 * MINUTE),
        (END - DAY, END),  # a clock that was set back
    ],
)
def test_a_minute_without_a_candle_appears_a_minute_after_its_end(now: datetime, newest: datetime, url: str) -> None:
    """Before that its candle can be on its way: a verdict that changes a moment later would be wrong."""
    response = client(make_model(), lambda: now, database=url).get("/minutes/BTC-USD?limit=100&source=simulated")
    assert openings(response) == [newest - number * MINUTE for number in range(100, 0, -1)]
    for minute in read(response):
        if datetime.fromisoformat(minute["time"]) >= END:
            assert (minute["verdict"], minute["asked"], minute["close"]) == ("disconnected", False, None)


@pytest.mark.parametrize("state", [STOPPED, DELISTED])
def test_a_series_that_is_no_longer_collected_ends_with_its_last_candle(
    state: str, writer: WritableDatabase, own_url: str
) -> None:
    """Nothing is missing after that."""
    writer.write(MINUTES, minutes(), Span(START, END))
    writer.set_state(MINUTES, state)
    served = client(make_model(), lambda: END + 3 * DAY, database=own_url)
    assert openings(served.get("/minutes/BTC-USD?limit=2")) == [END - 2 * MINUTE, END - MINUTE]


@pytest.mark.usefixtures("writer")
def test_a_series_without_candles_has_no_minutes(own: Client) -> None:
    assert read(own.get("/minutes/BTC-USD")) == []


def test_minutes_begin_with_the_first_that_was_collected_or_asked_for(writer: WritableDatabase, own: Client) -> None:
    """What lies before is not a hole."""
    writer.write(MINUTES, minutes(), Span(START - 5 * MINUTE, END))
    first, *_ = read(own.get("/minutes/BTC-USD?start=1970-01-01&limit=1"))
    assert (first["time"], first["asked"]) == ("2026-10-31T23:58:00Z", True)


def test_minutes_are_those_of_a_source_that_collects_minutes(served: Client) -> None:
    """Candles prefer the real days of another source."""
    response = served.get("/minutes/BTC-USD?limit=1")
    assert json.loads(response.data)["source"] == "simulated"
    assert response.headers["Crypto-Predict-Simulated"] == "true"
    assert "Crypto-Predict-Interval" not in response.headers


def test_the_etag_changes_with_what_is_known_of_a_minute(writer: WritableDatabase, own: Client) -> None:
    """Not only with candles: also with the stream, and with what was asked for."""
    writer.write(MINUTES, minutes(), Span(START, END))
    address = of_span(Span(NOON, NOON + timedelta(hours=1)))
    first = own.get(address)
    etag = first.headers["ETag"]
    condition = {"If-None-Match": etag}
    assert own.get(address, headers=condition).status_code == 304
    connected = StreamSpan(GAPS[0], StreamState.CONNECTED, "")
    writer.write_streams(MINUTES.source, [BTC], connected)
    assert own.get(address, headers=condition).status_code == 200


def test_a_source_of_minutes_is_needed(own_url: str) -> None:
    """Days have no verdicts of minutes."""
    series = SeriesKey("alpaca", BTC, Interval.DAY_1)
    with open_writer(own_url) as writer:
        writer.follow(series, simulated=False)
        writer.write(series, days(), Span(days()[0].open_time, days()[-1].open_time + DAY))
    response = client(make_model(), lambda: LATE, database=own_url).get("/minutes/BTC-USD")
    assert (response.status_code, json.loads(response.data)["parameter"]) == (404, "pair")
