"""`--source file:FOLDER`: an exported folder is read like the database that it was exported from."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crypto_predict.errors import UnusableHistory
from crypto_predict.history.failover import read_history
from crypto_predict.market import EPOCH, Candle, Interval, Pair, SeriesKey, Span, resample
from crypto_predict.market.ports import CandleSource, RowSource
from crypto_predict.sources.catalog import open_sources
from crypto_predict.store import open_writer
from tests.support.collecting import collect_here

START = datetime(2026, 3, 30, tzinfo=UTC)
HOURS = SeriesKey("binance", Pair("BTC", "USDT"), Interval.HOUR_1)
DOLLARS = Pair("BTC", "USD")
COUNT = 24 * 5 + 7  # the last day is not complete
HOUR = timedelta(hours=1)
CANDLES = [Candle(START + n * HOUR, 9.0 + n, 12.0 + n, 8.0 + n, 10.0 + n, n / 4) for n in range(COUNT) if n != 30]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with hours of two months, of which one is missing."""
    url = str(tmp_path / "market.db")
    with open_writer(url) as database:
        database.follow(HOURS, simulated=False)
        database.write(HOURS, CANDLES, Span(START, START + COUNT * HOUR))
    run = collect_here(url, "--export", str(tmp_path / "market"))
    assert run.code == 0, run.errors
    return tmp_path / "market"


def opened(folder: Path, *pairs: Pair) -> CandleSource:
    (source,) = open_sources([f"file:{folder}"], {}, 0, pairs)
    return source


def test_the_hours_of_a_folder_are_days_for_a_training(folder: Path) -> None:
    """BTC/USD means what the exchange trades in its place, and the incomplete day at the end is left out."""
    source = opened(folder, DOLLARS)
    assert (source.id, source.simulated) == (f"file:{folder}:binance", False)
    end = source.newest_close(DOLLARS, Interval.DAY_1, datetime(2026, 12, 1, tzinfo=UTC))
    assert end == START + timedelta(days=5)
    days = list(source.candles(DOLLARS, Interval.DAY_1, Span(EPOCH, end)))
    assert days == list(resample(CANDLES, Span(START, end), Interval.DAY_1))
    assert len(days) == 5
    assert isinstance(source, RowSource)
    assert [number for _, number in source.rows(DOLLARS, Interval.DAY_1, Span(EPOCH, end))] == [1, 2, 3, 4, 5]


def test_a_folder_may_be_as_old_as_it_is(folder: Path) -> None:
    """Months later it is a history, as a CSV file is, and not a source that has fallen behind."""
    now = datetime(2026, 12, 1, tzinfo=UTC)
    history, _ = read_history([opened(folder, DOLLARS)], DOLLARS, Interval.HOUR_1, 30, None, now)
    assert history.end == START + COUNT * HOUR
    assert len(history.candles) == len(CANDLES)


def test_a_pair_that_it_does_not_have_is_named(folder: Path) -> None:
    with pytest.raises(UnusableHistory, match="it does not have ETH/USD, but BTC/USDT"):
        opened(folder, Pair("ETH", "USD")).newest_close(Pair("ETH", "USD"), Interval.DAY_1, START)


def test_a_folder_that_is_not_an_export_is_named(tmp_path: Path) -> None:
    """Another source may take its place, so it is an error only when it is asked."""
    with pytest.raises(UnusableHistory, match=r"manifest\.json: the file does not exist"):
        list(opened(tmp_path, DOLLARS).candles(DOLLARS, Interval.DAY_1, Span(EPOCH, START)))


def test_a_damaged_month_is_named(folder: Path) -> None:
    path = next(folder.rglob("2026-04.parquet"))
    path.write_bytes(path.read_bytes()[:-1])
    source = opened(folder, DOLLARS)
    with pytest.raises(UnusableHistory, match=r"2026-04\.parquet: its bytes are not those"):
        list(source.candles(DOLLARS, Interval.HOUR_1, Span(EPOCH, START + timedelta(days=9))))
