"""Storing what has arrived: what one series cannot have does not keep the others waiting."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crypto_predict.collecting.live.writer import Writer
from crypto_predict.market import Candle, Interval, Pair, Quote, SeriesKey
from crypto_predict.market.clock import Clock
from crypto_predict.market.ports import DELISTED, Quarantined, Shard
from crypto_predict.store import open_writer
from tests.support.collecting import EVER
from tests.support.databases import KINDS, new_database

NOW = datetime(2024, 5, 17, 12, 0, tzinfo=UTC)
BTC = SeriesKey("binance", Pair("BTC", "USDT"), Interval.MINUTE_1)
DELETED = SeriesKey("binance", Pair("ETH", "USDT"), Interval.MINUTE_1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_series_that_was_deleted_from_the_database_does_not_hold_up_the_others(kind: str, tmp_path: Path) -> None:
    """Its stream may send until the collector looks at the database again."""
    impossible = Quarantined(Candle(NOW, 1.0, 1.0, -1.0, 1.0, 1.0), "low -1.0 is not positive")
    quote = Quote(NOW, 1.0, 1.0, 2.0, 1.0)

    async def store() -> int:
        writer = Writer(database, held, Clock(NOW, 60.0), lambda _: None, lambda: None)
        writer.reject(DELETED, impossible)
        writer.state(DELETED, DELISTED)
        writer.candle(DELETED, impossible.candle._replace(low=1.0))
        writer.reject(BTC, impossible)
        writer.quote(BTC.source, BTC.pair, quote)
        await writer.close(5.0)
        return writer.depth

    with open_writer(new_database(kind, tmp_path)) as database, database.hold_collector(Shard()) as held:
        database.follow(BTC, simulated=False)
        assert asyncio.run(store()) == 0
        assert len(database.quarantine(BTC, EVER)) == 1
        assert database.quotes(BTC.source, BTC.pair, EVER, 9) == [quote]
