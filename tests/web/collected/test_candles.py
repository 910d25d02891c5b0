"""``/candles/{pair}`` of real databases, through the whole application."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client, TestResponse

from crypto_predict.market import DAY, Candle, Interval, SeriesKey, Span
from crypto_predict.sources.csv_file import CsvFile
from crypto_predict.store import WritableDatabase, open_writer
from crypto_predict.web.collected.candles import MOST_PARTS, TABLE
from tests.support.applications import client, problem
from tests.support.collected import BTC, END, LATE, MINUTES, START, days, fill, minutes
from tests.support.databases import execute, new_database
from tests.support.minutes import vwaps
from tests.support.models import make_model
from tests.web.collected.test_tables import links

ONE_DAY = "interval=1m&start=2026-11-02&end=2026-11-03&limit=2000&source=simulated"


def read(response: TestResponse) -> dict[str, Any]:
    assert response.status_code == 200, response.data
    answer = json.loads(response.data)
    answer["candles"] = [dict(zip(answer["columns"], row, strict=True)) for row in answer["candles"]]
    return dict(answer)


def openings(response: TestResponse) -> list[datetime]:
    return [datetime.fromisoformat(candle["time"]) for candle in read(response)["candles"]]


def test_stored_candles_are_served_as_they_were_written_with_their_vwap(served: Client) -> None:
    """Every number survives the database and the JSON to its last bit; VWAP follows the formula."""
    answer = read(served.get(f"/candles/BTC-USD?{ONE_DAY}"))
    written = [candle for candle in minutes() if candle.open_time.date().day == 2]
    names = list(Candle._fields[1:])
    assert [[candle[name] for name in names] for candle in answer["candles"]] == [list(row[1:]) for row in written]
    assert [candle["time"] for candle in answer["candles"]] == [
        f"{row.open_time:%Y-%m-%dT%H:%M:%SZ}" for row in written
    ]
    assert [candle["vwap"] for candle in answer["candles"]] == pytest.approx(vwaps(written), rel=1e-12)
    described = ("pair", "source", "interval", "resampled_from", "simulated", "columns")
    assert [answer[name] for name in described] == ["BTC/USD", "simulated", "1m", None, True, list(TABLE.columns)]


def test_volumes_that_only_some_sources_have_are_served(served: Client) -> None:
    """They are null where the source does not have them."""
    (candle,) = read(served.get("/candles/BTC-USDT?interval=1m&limit=1"))["candles"]
    assert (candle["quote_volume"], candle["trades"]) == (candle["volume"] * candle["close"], 3)
    assert candle["taker_base_volume"] is None


@pytest.mark.parametrize("interval", ["5m", "10m", "1h", "1d"])
def test_resampled_candles_equal_those_of_pandas(interval: str, served: Client) -> None:
    """Gaps stay gaps, and the incomplete ends are left out."""
    answer = read(served.get(f"/candles/BTC-USD?interval={interval}&source=simulated&start=2026-01-01&limit=10000"))
    assert answer["resampled_from"] == "1m"
    frame = pd.DataFrame(minutes()).set_index("open_time")
    turnover, day = (frame.high + frame.low + frame.close) / 3 * frame.volume, pd.DatetimeIndex(frame.index).date
    frame["vwap"] = turnover.groupby(day).cumsum() / frame.volume.groupby(day).cumsum()
    rules = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum", "vwap": "last"}
    length = Interval.parse(interval).length
    expected = frame.resample(length).agg(rules).dropna(subset=["open"])
    expected = expected[(expected.index >= START) & (expected.index <= END - length)]
    assert len(expected) > 1
    assert [datetime.fromisoformat(candle["time"]) for candle in answer["candles"]] == list(expected.index)
    for name in ("open", "high", "low", "close"):
        assert [candle[name] for candle in answer["candles"]] == list(expected[name])
    for name in ("volume", "vwap"):
        assert [candle[name] for candle in answer["candles"]] == pytest.approx(list(expected[name]), rel=1e-12)


def test_an_interval_that_was_not_asked_for_in_full_is_not_resampled(writer: WritableDatabase, own: Client) -> None:
    """An interrupted backfill leaves such holes: a candle of half an hour would be served as an hour."""
    first, hole = START, Span(START + timedelta(hours=5), START + timedelta(hours=7, minutes=30))
    for span in (Span(first, hole.start), Span(hole.end, END)):
        writer.write(MINUTES, [candle for candle in minutes() if candle.open_time in span], span)
    result = openings(own.get("/candles/BTC-USD?interval=1h"))
    assert [opening.hour for opening in result if opening.day == 1] == [1, 2, 3, 4, *range(8, 24)]


def test_a_link_keeps_the_question_and_names_the_source(served: Client) -> None:
    """Otherwise a page could continue with prices of another source."""
    response = served.get("/candles/btc_usd?interval=10m&start=2026-11-02&end=2026-11-03&limit=2")
    assert links(response) == {
        "next": "/candles/BTC-USD?interval=10m&start=2026-11-02T00:20:00Z&end=2026-11-03T00:00:00Z"
        "&limit=2&source=simulated"
    }


def test_a_page_without_rollups_reads_a_bounded_number_of_stored_candles(tmp_path: Path) -> None:
    """Ten thousand days of minutes would be 14 million rows; the page ends early and has a link. Rollups need none."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    candles = [Candle(start + timedelta(minutes=n), 1.0, 1.0, 1.0, 1.0, 1.0) for n in range(40 * 24 * 60)]
    url, end = str(tmp_path / "market.db"), candles[-1].open_time + timedelta(minutes=1)
    with open_writer(url) as writer:
        writer.follow(MINUTES, simulated=True)
        writer.write(MINUTES, candles, Span(start, end))
    served = client(make_model(), lambda: end, database=url)
    whole = served.get("/candles/BTC-USD?interval=1d&start=2026-01-01&limit=10000")
    assert (openings(whole), links(whole)) == ([start + day * DAY for day in range(40)], {})
    execute(url, "UPDATE symbols SET unrolled = last_open")
    response = served.get("/candles/BTC-USD?interval=1d&start=2026-01-01&limit=10000")
    result = openings(response)
    assert len(result) == MOST_PARTS // 1440
    following = links(response)["next"]
    assert openings(served.get(following))[0] == result[-1] + DAY
    # the newest days come first without a start, not the oldest of the same many
    assert openings(served.get("/candles/BTC-USD?interval=1d&limit=10000"))[-1] == end - DAY


def test_a_real_source_comes_before_a_simulated_one(served: Client) -> None:
    """The header marks invented prices, and is absent otherwise."""
    real, invented = (served.get(f"/candles/BTC-USD?interval=1d{more}") for more in ("", "&source=simulated"))
    assert (read(real)["source"], read(real)["simulated"], read(real)["resampled_from"]) == ("alpaca", False, None)
    assert "Crypto-Predict-Simulated" not in real.headers
    assert (read(invented)["source"], read(invented)["simulated"]) == ("simulated", True)
    assert invented.headers["Crypto-Predict-Simulated"] == "true"
    assert read(served.get("/candles/BTC-USD?interval=1h"))["source"] == "simulated"  # days cannot be split
    for source, interval in (("", "1d"), ("source=simulated", "1m")):  # by default the shortest that is stored
        assert read(served.get(f"/candles/BTC-USD?{source}"))["interval"] == interval


def test_of_two_real_sources_the_one_with_the_newest_candle_is_served(own_url: str) -> None:
    with open_writer(own_url) as writer:
        for source, ends in (("alpaca", END), ("poloniex", END + timedelta(minutes=5)), ("binance", END)):
            series = SeriesKey(source, BTC, Interval.MINUTE_1)
            writer.follow(series, simulated=False)
            writer.write(series, minutes(ends - timedelta(minutes=30), ends), Span(ends - timedelta(minutes=30), ends))
        writer.follow(SeriesKey("empty", BTC, Interval.MINUTE_1), simulated=False)
    served = client(make_model(), lambda: LATE, database=own_url)
    assert read(served.get("/candles/BTC-USD?interval=1m"))["source"] == "poloniex"
    assert read(served.get("/candles/BTC-USD?interval=10m"))["source"] == "poloniex"
    assert read(served.get("/candles/BTC-USD?interval=1m&source=empty"))["candles"] == []


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("DOGE-USD", "pair"),
        ("BTC-EUR?interval=1m", "pair"),
        ("BTC-USD?source=kraken", "source"),
        ("BTC-USD?source=", "source"),
        ("BTC-USD?source=%00%ff%e2%98%83", "source"),
        ("BTC-USD?source=alpaca&interval=1h", "interval"),
    ],
)
@pytest.mark.parametrize("endpoint", ["/candles/", "/digest/"])
def test_what_is_not_collected_is_404_and_the_answer_lists_what_is(
    path: str, parameter: str, endpoint: str, served: Client
) -> None:
    query = "&day=2026-11-02" if "?" in path else "?day=2026-11-02"
    response = served.get(f"{endpoint}{path}{query if endpoint == '/digest/' else ''}")
    body = problem(response, 404)
    assert (body["parameter"], "BTC/USD 1d from alpaca" in body["detail"]) == (parameter, True)


def test_the_list_of_what_is_collected_is_bounded(own_url: str) -> None:
    """A collector of every pair of an exchange has thousands."""
    with open_writer(own_url) as writer:
        for number in range(100):
            writer.follow(SeriesKey("binance", type(BTC)(f"C{number}", "USDT"), Interval.MINUTE_1), simulated=False)
    response = client(make_model(), database=own_url).get("/candles/BTC-USD")
    assert "and 80 more" in json.loads(response.data)["detail"]
    assert len(response.data) < 2_000


def test_served_csv_can_be_trained_from(served: Client, tmp_path: Path) -> None:
    """`train.py --source file:` reads what this endpoint writes."""
    path = tmp_path / "candles.csv"
    path.write_bytes(served.get("/candles/BTC-USD?interval=1d", headers={"Accept": "text/csv"}).data)
    result = list(CsvFile(str(path)).candles(BTC, Interval.DAY_1, Span(START - 365 * DAY, END)))
    assert result == [candle._replace(quote_volume=None) for candle in days()]


def test_each_format_and_encoding_has_an_etag_which_changes_with_the_candles(
    writer: WritableDatabase, own: Client
) -> None:
    writer.write(MINUTES, minutes(), Span(START, END))
    first, table = (
        own.get("/candles/BTC-USD", headers={"Accept": accept}).headers["ETag"]
        for accept in ("application/json", "text/csv")
    )
    assert first != table
    compressed = own.get("/candles/BTC-USD", headers={"Accept-Encoding": "gzip"})
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert compressed.headers["ETag"] != first, "the bytes differ, so a cache must not join them"
    assert gzip.decompress(compressed.data) == own.get("/candles/BTC-USD").data
    small = {"If-None-Match": compressed.headers["ETag"], "Accept-Encoding": "gzip"}
    assert own.get("/candles/BTC-USD", headers=small).status_code == 304
    assert own.get("/candles/BTC-USD", headers={**small, "Accept-Encoding": "identity"}).status_code == 200
    condition = {"If-None-Match": first}
    copy = own.get("/candles/BTC-USD", headers=condition)
    assert (copy.status_code, copy.data, copy.headers["Vary"]) == (304, b"", "Accept, Accept-Encoding")
    assert own.get("/candles/BTC-USD", headers={"If-Match": '"other"'}).status_code == 412
    newest = minutes()[-1]
    writer.write(MINUTES, [newest._replace(close=newest.low)])
    assert own.get("/candles/BTC-USD", headers=condition).status_code == 200


def test_a_copy_is_confirmed_without_reading_candles(tmp_path: Path) -> None:
    """Pages poll: here the table of candles is locked, and a 304 is answered meanwhile. A change is noticed at once."""
    url = new_database("postgresql", tmp_path)
    fill(url)
    served = client(make_model(), lambda: LATE, database=url)
    addresses = [f"/candles/BTC-USD?source=simulated{more}" for more in ("", "&interval=1h", "&start=2026-11-02")]
    first = [served.get(address) for address in addresses]
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE price_history IN ACCESS EXCLUSIVE MODE")
        for address, answer in zip(addresses, first, strict=True):
            copy = served.get(address, headers={"If-None-Match": answer.headers["ETag"]})
            assert (copy.status_code, copy.data) == (304, b"")
            for name in ("ETag", "Cache-Control", "Vary", "Crypto-Predict-Simulated", "Access-Control-Allow-Origin"):
                assert copy.headers[name] == answer.headers[name]
    with open_writer(url) as writer:
        writer.write(MINUTES, [minutes()[-1]._replace(volume=77.0)])
    for address, answer in zip(addresses[:1], first, strict=False):
        assert served.get(address, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 200


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 3), st.booleans()), max_size=4))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_304_is_only_answered_for_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[int, int, bool]]
) -> None:
    """Whatever is written between two requests: candles, revisions, or answers of the source without candles."""
    url, later = str(tmp_path_factory.mktemp("database") / "market.db"), END + timedelta(minutes=9)
    with open_writer(url) as writer:
        writer.follow(MINUTES, simulated=True)
        writer.write(MINUTES, minutes(END - timedelta(minutes=20), END), Span(END - timedelta(minutes=20), END))
        served = client(make_model(), lambda: LATE, database=url)
        bodies = dict.fromkeys(["/candles/BTC-USD", "/candles/BTC-USD?interval=5m"], b"")
        etags = dict.fromkeys(bodies, "")
        for first, count, with_candles in [(0, 0, False), *writes]:
            span = Span(END + timedelta(minutes=first), END + timedelta(minutes=first + count))
            candles = minutes(END, later, seed=count) if with_candles else []
            writer.write(MINUTES, [candle for candle in candles if candle.open_time in span], span)
            for address in bodies:
                answer = served.get(address, headers={"If-None-Match": etags[address]})
                fresh = client(make_model(), lambda: LATE, database=url).get(address)
                assert (answer.status_code == 304) == (fresh.data == bodies[address])
                bodies[address], etags[address] = fresh.data, fresh.headers["ETag"]
                assert answer.headers["ETag"] == fresh.headers["ETag"]


@pytest.mark.parametrize(
    ("now", "interval", "expected"),
    [
        (END + timedelta(seconds=10), "1m", "public, max-age=51"),
        (END + timedelta(seconds=59, milliseconds=500), "1m", "public, max-age=1"),
        (END + timedelta(seconds=60), "1m", "no-cache"),  # a candle that has closed is missing
        (END + timedelta(days=99), "1m", "no-cache"),
        (END + timedelta(seconds=150), "10m", "public, max-age=31"),
        (END + timedelta(seconds=10), "1h", "public, max-age=60"),
        (END + timedelta(seconds=70), "1h", "public, max-age=60"),  # the hour is not over
        (END - timedelta(days=99), "1m", "public, max-age=60"),  # a clock that was set back
    ],
)
def test_an_answer_may_be_cached_until_the_next_candle_is_stored(
    now: datetime, interval: str, expected: str, url: str
) -> None:
    """A second after its close; for a minute at most: any candle may be revised, and older ones collected late."""
    served = client(make_model(), lambda: now, database=url)
    for path in (f"/candles/BTC-USD?interval={interval}&", *(["/minutes/BTC-USD?"] if interval == "1m" else [])):
        headers = served.get(f"{path}source=simulated").headers
        assert (headers["Cache-Control"], "Last-Modified" in headers) == (expected, False)


@pytest.mark.parametrize(
    "path",
    [
        *("/candles/BTC-USD", "/minutes/BTC-USD", "/top-of-book/BTC-USD"),
        *("/digest/BTC-USD?day=2026-11-02", "/series", "/pairs"),
    ],
)
def test_head_options_and_other_origins(path: str, served: Client) -> None:
    got, head = served.get(path), served.head(path)
    assert (head.status, head.data) == (got.status, b"")
    assert sorted(head.headers) == sorted(got.headers)
    assert set(served.options(path).allow) - {"POST"} == {"GET", "HEAD", "OPTIONS"}
    assert served.put(path).status_code == 405
    assert got.headers.getlist("Access-Control-Allow-Origin") == ["*"]
    exposed = got.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"Link", "ETag", "Crypto-Predict-Source", "Crypto-Predict-Interval", "Retry-After"} <= set(exposed)


def test_a_source_of_any_name_is_served(own_url: str) -> None:
    """Headers are Latin-1 without line ends."""
    series = SeriesKey("file:prix \u2603\r\nSet-Cookie: a=b.csv", BTC, Interval.MINUTE_1)
    with open_writer(own_url) as writer:
        writer.follow(series, simulated=False)
        writer.write(series, minutes(), Span(START, END))
    served = client(make_model(), lambda: LATE, database=own_url)
    response = served.get("/candles/BTC-USD?limit=7")
    assert read(response)["source"] == series.source
    assert all(value.isascii() and value.isprintable() for _, value in response.headers)
    assert read(served.get(links(response)["prev"]))["source"] == series.source
