"""`--status`: what is stored, and how the streams are."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crypto_predict.collecting.status import ENDED, SILENT
from crypto_predict.market import Candle, Interval, Pair, SeriesKey, Span
from crypto_predict.market.collected import DELISTED, StreamSpan, StreamState
from crypto_predict.market.forecast import HOURS_AHEAD, HourForecast, MinuteModel
from crypto_predict.store import open_writer
from tests.support.collecting import collect_here
from tests.support.minutes import KEEP, MINUTES, START, candles, step

BTC = SeriesKey("binance", Pair("BTC", "USDT"), Interval.MINUTE_1)
LONG = SeriesKey("binance", Pair("A" * 20, "B" * 10), Interval.MINUTE_1)
HOUR = timedelta(hours=1)
REASON = "the exchange answered 503: " + "maintenance " * 20


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def streams(database: str, *spans: StreamSpan, series: SeriesKey = BTC) -> None:
    """Write the states of a stream, and a candle with its comparisons."""
    with open_writer(database) as writer:
        writer.follow(series, simulated=False)
        opening = Interval.MINUTE_1.floor(spans[-1].span.end) - HOUR
        writer.write(series, [Candle(opening, 1.0, 1.0, 1.0, 1.0, 1.0)])
        writer.compared(series, 1_440, 3)
        for span in spans:
            writer.write_streams(series.source, [series.pair], span)


def connected(start: datetime, end: datetime) -> StreamSpan:
    return StreamSpan(Span(start, end), StreamState.CONNECTED, "")


def live_lines(output: str) -> list[str]:
    """Return the rows of the second table."""
    return output.partition("\n\n")[2].splitlines()[1:]


def stream_of(database: str) -> dict[str, str]:
    (series,) = json.loads(collect_here(database, "--status", "--json").output)["series"]
    assert (series["compared"], series["mismatched"], series["mismatch_rate"]) == (1_440, 3, 3 / 1_440)
    return dict(series["stream"])


def test_a_connected_stream_is_shown_with_its_rate_of_mismatch(now: datetime, tmp_path: Path) -> None:
    database = str(tmp_path / "market.db")
    streams(database, connected(now - 2 * HOUR, now))
    (line,) = live_lines(collect_here(database, "--status").output)
    since = f"{now - 2 * HOUR:%Y-%m-%d %H:%M}"
    assert line.split() == ["BTC/USDT", "binance", "active", "3", "of", "1,440", "connected", "since", *since.split()]
    assert stream_of(database)["state"] == "connected"


def test_an_exchange_that_is_down_is_shown_since_then_and_cut_to_100_columns(now: datetime, tmp_path: Path) -> None:
    """`--json` has the whole reason."""
    database = str(tmp_path / "market.db")
    down = StreamSpan(Span(now - HOUR, now), StreamState.EXCHANGE_DOWN, REASON)
    streams(database, connected(now - 2 * HOUR, now - HOUR), down, series=LONG)
    with open_writer(database) as writer:
        writer.set_state(LONG, DELISTED)
    output = collect_here(database, "--status").output
    assert max(len(line) for line in output.splitlines()) <= 100
    (line,) = live_lines(output)
    assert f"delisted  3 of 1,440  exchange down since {now - HOUR:%Y-%m-%d %H:%M}: the exch" in line
    assert line.endswith("…")
    result = stream_of(database)
    assert (result["state"], result["reason"]) == ("exchange down", REASON)


def test_without_a_running_collector_the_stream_is_disconnected_since_its_end(now: datetime, tmp_path: Path) -> None:
    """After kill -9 nobody writes that it has ended."""
    database, end = str(tmp_path / "market.db"), now - SILENT - timedelta(minutes=5)
    streams(database, connected(now - 2 * HOUR, end))
    result = stream_of(database)
    assert (result["state"], result["reason"]) == ("disconnected", ENDED)
    assert datetime.fromisoformat(result["since"]) == end


def test_a_database_that_was_only_backfilled_has_one_table_of_at_most_100_columns(tmp_path: Path) -> None:
    database, series = str(tmp_path / "market.db"), replace(LONG, source="simulated", interval=Interval.MINUTE_10)
    with open_writer(database) as writer:
        writer.follow(series, simulated=True)
        for opening in (START, START + timedelta(days=99)):
            writer.write(series, [Candle(opening, 1.0, 1.0, 1.0, 1.0, 1.0)])
    head, row = collect_here(database, "--status").output.splitlines()
    assert head.split() == ["pair", "source", "every", "from", "to", "(UTC)", "lag", "gaps", "missing", "rows", "size"]
    assert len(row) <= 100
    assert "simulated  10m    2024-05-17  2024-08-24 00:10" in row
    (result,) = json.loads(collect_here(database, "--status", "--json").output)["series"]
    assert result["pair"] == str(LONG.pair)
    assert (result["start"], result["end"]) == ("2024-05-17T00:00:00.000Z", "2024-08-24T00:10:00.000Z")
    assert (result["rows"], result["simulated"], result["interval"]) == (2, True, "10m")
    assert (result["stream"], result["mismatch_rate"]) == (None, None)
    assert result["bytes"] > 0
    assert result["lag_seconds"] > 0


def test_minute_forecasts_are_shown_with_their_record(tmp_path: Path) -> None:
    """Errors are relative to those of persistence."""
    database = str(tmp_path / "market.db")
    with open_writer(database) as writer:
        writer.follow(MINUTES, simulated=False)
        writer.write(MINUTES, candles(0, 3))
        writer.write_forecasts({MINUTES: [step(1), step(2, 1), step(3, 1, 2)]}, KEEP)
        writer.write_minute_model(MINUTES, MinuteModel(START, "{}"))
    table = collect_here(database, "--status").output.partition("\n\n")[2].splitlines()
    assert table[1].split() == [
        "BTC/USDT",
        "binance",
        *["2024-05-17", "00:03", "2024-05-17", "00:00", "3", "0.500", "0.500"],
    ]
    (series,) = json.loads(collect_here(database, "--status", "--json").output)["series"]
    assert series["forecasts"] == {
        "cutoff": "2024-05-17T00:03:00.000Z",
        "fitted": "2024-05-17T00:00:00.000Z",
        "outcomes": 3,
        "error_ratio": 0.5,
        "interval_ratio": 0.5,
    }


def test_the_newest_forecast_of_hours_is_shown_with_its_price(tmp_path: Path) -> None:
    database = str(tmp_path / "market.db")
    rows = ((-0.02, -0.01, -0.005, 0.0, 0.005, 0.01, 0.02),) * HOURS_AHEAD
    with open_writer(database) as writer:
        writer.follow(MINUTES, simulated=False)
        for hour in range(2):
            forecast = HourForecast(START + hour * HOUR, 1_234.5, rows)
            writer.write_hour_forecast(MINUTES, forecast, timedelta(days=7))
    head, row = collect_here(database, "--status").output.rstrip().splitlines()[-2:]
    assert head.split() == ["pair", "source", "next", "hours", "from", "(UTC)", "price"]
    assert row.split() == ["BTC/USDT", "binance", "2024-05-17", "01:00", "1,234.5"]
    (series,) = json.loads(collect_here(database, "--status", "--json").output)["series"]
    assert series["hour_forecast"] == {"cutoff": "2024-05-17T01:00:00.000Z", "price": 1234.5}
