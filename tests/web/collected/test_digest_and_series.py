"""``/digest/{pair}``, ``/series`` and ``/pairs`` of real databases, through the whole application."""

import hashlib
import json
from datetime import date, timedelta
from itertools import repeat
from pathlib import Path

import pytest
from werkzeug.test import Client

from crypto_predict.market import DAY, Interval, SeriesKey, Span, resample
from crypto_predict.market.collected import STOPPED
from crypto_predict.store import WritableDatabase, open_writer
from tests.support.applications import client
from tests.support.collected import BTC, END, MINUTES, START, minutes
from tests.support.models import ETH, make_model


def test_a_digest_is_that_of_the_documented_text(served: Client) -> None:
    """A collector of anybody can compute it with a few lines."""
    text = "60\n"
    for candle in minutes():
        if candle.open_time.date() == date(2026, 11, 2):
            text += f"{candle.open_time:%Y-%m-%dT%H:%M:%SZ},{candle.open!r},{candle.high!r},{candle.low!r}"
            text += f",{candle.close!r},{candle.volume!r}\n"
    answer = json.loads(served.get("/digest/BTC-USD?day=2026-11-02&source=simulated").data)
    names = {"pair": "BTC/USD", "source": "simulated", "interval": "1m", "simulated": True, "day": "2026-11-02"}
    digest = {"candles": text.count("\n") - 1, "sha256": hashlib.sha256(text.encode()).hexdigest(), "complete": True}
    assert answer == names | digest


def test_two_collectors_agree_whatever_the_order_of_their_writes(tmp_path: Path, served: Client) -> None:
    """And whether hours are stored or resampled."""
    url = str(tmp_path / "market.db")
    hours = SeriesKey("simulated", BTC, Interval.HOUR_1)
    with open_writer(url) as writer:
        writer.follow(MINUTES, simulated=True)
        for start in (START + 2 * DAY, START, START + DAY):
            span = Span(start, start + DAY)
            writer.write(MINUTES, [minute for minute in minutes() if minute.open_time in span], span)
        writer.follow(hours, simulated=True)
        span = Span(START, END)
        writer.write(hours, list(resample(minutes(), span, Interval.HOUR_1)), span.whole(Interval.HOUR_1))
    other = client(make_model(), database=url)
    for interval in ("1m", "10m", "1h"):
        query = f"/digest/BTC-USD?day=2026-11-02&source=simulated&interval={interval}"
        assert other.get(query).data == served.get(query).data


@pytest.mark.parametrize(
    ("day", "candles", "complete"),
    [
        ("2026-11-01", 24 * 60 - 3, False),  # the collection begins at 00:03
        ("2026-11-03", 24 * 60, True),
        ("2026-11-04", 9 * 60 + 47, False),  # the current day
        ("2026-11-05", 0, False),
        ("1970-01-01", 0, False),
        ("9998-12-31", 0, False),
    ],
)
def test_a_day_is_complete_if_the_source_was_asked_for_all_of_it(
    day: str, candles: int, complete: bool, served: Client
) -> None:
    """Gaps of the source do not matter: another collector finds the same ones."""
    answer = json.loads(served.get(f"/digest/BTC-USD?day={day}&source=simulated").data)
    assert (answer["candles"], answer["complete"]) == (candles, complete)


def test_series_have_their_span_lag_and_gaps(served: Client) -> None:
    """Sorted by pair and source. A lag is that of the newest candle that can exist."""
    result = json.loads(served.get("/series").data)
    assert [(series["pair"], series["source"], series["interval"]) for series in result] == [
        ("BTC/USD", "alpaca", "1d"),
        ("BTC/USD", "simulated", "1m"),
        ("BTC/USDT", "binance", "1m"),
    ]
    names = {"pair": "BTC/USD", "source": "simulated", "interval": "1m", "simulated": True, "state": "active"}
    span = {"start": "2026-11-01T00:03:00Z", "end": "2026-11-04T09:47:00Z", "lag_seconds": 0, "since": None}
    counts = {"gaps": 3, "missing": 1 + 28 + 180, "compared": 0, "mismatched": 0, "mismatch_rate": None}
    assert result[1] == names | span | counts


def test_lag_grows_with_the_intervals_that_have_closed(url: str) -> None:
    """A clock that was set back does not make it negative."""
    for now, lag in ((END + timedelta(minutes=5, seconds=30), 300), (END - DAY, 0)):
        response = client(make_model(), repeat(now).__next__, database=url).get("/series")
        assert json.loads(response.data)[1]["lag_seconds"] == lag


@pytest.mark.usefixtures("writer")
def test_a_series_without_candles_is_listed(own: Client) -> None:
    (series,) = json.loads(own.get("/series").data)
    assert [series[name] for name in ("start", "end", "lag_seconds", "gaps", "missing")] == [None, None, None, 0, 0]
    assert json.loads(own.get("/candles/BTC-USD").data)["candles"] == []
    assert own.get("/openapi.json").status_code == 200


def test_pairs_have_their_collected_series(served: Client) -> None:
    """Their other members stay as they are without a database; a pair of the model alone has none."""
    plain = json.loads(client(make_model(BTC, ETH)).get("/pairs").data)
    series = json.loads(served.get("/series").data)
    *result, only_collected = json.loads(served.get("/pairs").data)
    assert [pair.pop("collected") for pair in result] == [series[:2], []]
    assert result == plain
    own = {"pair": "BTC/USDT", "simulated": False, "collected": series[2:]}
    assert only_collected == dict.fromkeys(plain[0]) | own


def test_series_have_the_rate_of_mismatch_and_how_far_back_they_are_collected(
    writer: WritableDatabase, own: Client
) -> None:
    writer.set_state(MINUTES, STOPPED, since=START)
    writer.compared(MINUTES, 300, 1)
    writer.compared(MINUTES, 100, 2)
    (series,) = json.loads(own.get("/series").data)
    shown = [series[name] for name in ("state", "since", "compared", "mismatched", "mismatch_rate")]
    assert shown == ["stopped", "2026-11-01T00:03:00Z", 400, 3, 0.0075]


@pytest.mark.parametrize("path", ["/series", "/pairs", "/digest/BTC-USD?day=2026-11-02", "/openapi.json"])
def test_answers_of_the_database_are_revalidated_by_their_content(path: str, served: Client) -> None:
    """The tag of a release would be the same before and after a candle."""
    answer = served.get(path)
    assert answer.headers["Cache-Control"] == "no-cache"
    assert "Last-Modified" not in answer.headers
    assert served.get(path, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert answer.headers["ETag"] != served.get("/model").headers["ETag"]
