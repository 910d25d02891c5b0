"""What is collected is forecast, from the database or the exchange; with `--pair collected` one pair stops no other."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from crypto_predict.baked import store
from crypto_predict.baked.schema import MOST_PAIRS
from crypto_predict.collecting.options import DEFAULT_PAIRS, settings_beside
from crypto_predict.collecting.options import read_settings as read_collect_settings
from crypto_predict.errors import Refused, UnusableHistory
from crypto_predict.market import Candle, Interval, Pair, SeriesKey, Span
from crypto_predict.market.collected import STOPPED
from crypto_predict.store import open_reader, open_writer
from crypto_predict.training import pipeline
from crypto_predict.training.options import read_settings
from tests.support.collecting import collect_here
from tests.support.histories import make_history
from tests.support.replay import server as replay
from tests.support.replay.binance import BinanceExchange
from tests.support.replay.server import ReplayServer
from tests.support.training import QUICK, Outputs, in_process

BTC = Pair("BTC", "USD")
ETHER, LITECOIN, SOLANA, OTHER = (Pair(base, "USDT") for base in ("ETH", "LTC", "SOL", "AAVE"))
ETHER_USD = Pair("ETH", "USD")  # under which Binance's ETH/USDT is forecast
NOW = datetime(2026, 5, 17, 0, 10, tzinfo=UTC)
DAYS = 200


def days_up_to_now(days: int = DAYS) -> list[Candle]:
    """Return the daily candles that close at the midnight before `NOW`."""
    history = make_history(DAYS)
    shift = NOW.replace(minute=0) - history.end
    return [candle._replace(open_time=candle.open_time + shift) for candle in history.candles][-days:]


class Collected(Outputs):
    """A database, an exchange, and the models that are trained from both."""

    def __init__(self, folder: Path, server: ReplayServer) -> None:
        super().__init__(folder)
        self.database, self.server = str(folder / "market.db"), server

    def collect(self, pair: Pair, *, source: str = "binance", days: int = 0, state: str | None = None) -> None:
        """Follow a pair, and store so many days of it."""
        series = SeriesKey(source, pair, Interval.DAY_1 if days else Interval.MINUTE_1)
        with open_writer(self.database) as writer:
            writer.follow(series, simulated=source == "simulated")
            if days:
                candles = days_up_to_now(days)
                writer.write(series, candles, Span(candles[0].open_time, NOW.replace(minute=0)))
            if state is not None:
                writer.set_state(series, state)

    def train(self, now: datetime = NOW, *arguments: str) -> bool:
        """Train all collected pairs, with the model before as champion; return whether they are known."""
        environ = {"BINANCE_API_URL": self.server.url, "DAYS": "180", "EVERY": "60", "SOURCE": "binance"}
        own = ("--pair", "collected", "--repeat", "6h", "--database", self.database, "--output", str(self.model_file))
        settings, _ = read_settings([*own, *arguments], environ)
        return pipeline.train(settings, now, lambda: open_reader(self.database))[2]

    def pairs(self) -> dict[Pair, str]:
        """Return the pairs of the model, each with its source."""
        return {pair: facts.source for pair, facts in store.load(self.model_file).card.pairs.items()}


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Collected]:
    """Binance with three pairs, of which one is twelve days old, and a database in which all are collected."""
    listed = {Pair("BTC", "USDT"): DAYS, ETHER: DAYS, LITECOIN: 12}
    candles = {(pair, Interval.DAY_1): days_up_to_now(days) for pair, days in listed.items()}
    with ReplayServer(BinanceExchange(candles)) as server:
        yield Collected(tmp_path, server)


def test_every_collected_pair_with_enough_days_is_forecast_first_bitcoin(
    market: Collected, caplog: pytest.LogCaptureFixture
) -> None:
    """A database that goes back far enough is read; of a pair that was added today, the exchange has the days."""
    market.collect(LITECOIN)
    market.collect(ETHER)
    market.collect(SOLANA, state=STOPPED)
    market.collect(OTHER, days=DAYS)
    market.train()
    assert market.pairs() == {BTC: "binance", ETHER_USD: "binance", Pair("AAVE", "USD"): "store:binance"}
    assert not store.load(market.model_file).card.simulated
    (line,) = (record.getMessage() for record in caplog.records if "left out" in record.getMessage())
    assert line.startswith("left out: LTC/USD: ")
    assert "too short: 12 days; at least 162 are needed" in line
    assert "SOL" not in caplog.text


def test_a_rival_that_fails_for_a_pair_is_part_of_the_others(market: Collected, tmp_path: Path) -> None:
    """Its process is a new one for each pair, so that nothing of one pair is left when it sees the next."""
    market.collect(ETHER)
    mine = tmp_path / "mine.py"
    seen = "seen = []\n\ndef forecast(history, horizons, levels):\n"
    mine.write_text(
        f"{seen}    seen.append(history.close.iloc[0])\n    return [seen[-1] / len({{*seen}})] * len(horizons)"
    )
    market.train(NOW, "--rivals", f"garch,{mine}", "--serve", "garch")
    pairs = store.load(market.model_file).card.pairs
    assert list(pairs) == [BTC, ETHER_USD]
    for facts in pairs.values():
        assert facts.served == "garch"
        assert [report.name for report in facts.models] == ["combined", "garch", "mine"]
        assert facts.models[2].left_out is None


def test_a_pair_that_fails_keeps_its_forecast_for_a_while_and_is_then_missing(
    market: Collected, caplog: pytest.LogCaptureFixture
) -> None:
    """An outage of one exchange must not make an address 404, nor the whole model stale for ever."""
    market.collect(ETHER)
    market.train()
    first = store.load(market.model_file)
    with market.server.failing(replay.answer(451), lambda request: request.query.get("symbol") == "ETHUSDT"):
        market.train(NOW + timedelta(hours=6))
        second = store.load(market.model_file)
        assert second.forecasts[ETHER_USD] == first.forecasts[ETHER_USD]
        assert second.card.pairs[ETHER_USD] == first.card.pairs[ETHER_USD]
        assert [line["pair"] for line in market.lines() if line["kind"] == "release"] == [
            "BTC/USD",
            "ETH/USD",
            "BTC/USD",
        ]
        assert "ETH/USD keeps its forecast from the price of 2026-05-17 00:00 UTC" in caplog.text
        market.train(NOW + timedelta(hours=13))
    assert list(market.pairs()) == [BTC]
    assert "ETH/USD is not in the new model, so its forecast is 404 from now on: it could not be trained" in caplog.text
    market.train(NOW + timedelta(hours=18))
    assert list(market.pairs()) == [BTC, ETHER_USD]


def test_a_pair_that_is_refused_stops_no_other_and_all_together_refuse(market: Collected) -> None:
    """A frozen price is refused by the gate; the other pairs are released. The last ones refuse the training."""
    frozen = [candle._replace(open=1.0, high=1.0, low=1.0, close=1.0) for candle in days_up_to_now()]
    series = SeriesKey("alpaca", OTHER, Interval.DAY_1)
    with open_writer(market.database) as writer:
        writer.follow(series, simulated=False)
        writer.write(series, frozen, Span(frozen[0].open_time, NOW.replace(minute=0)))
    market.train()
    assert list(market.pairs()) == [BTC]
    before = market.model_file.read_bytes()
    with market.server.failing(replay.answer(451)), pytest.raises(Refused, match="AAVE/USDT"):
        market.train(NOW + timedelta(hours=6))
    assert market.model_file.read_bytes() == before


def test_an_outage_of_the_database_removes_no_pair(market: Collected, caplog: pytest.LogCaptureFixture) -> None:
    """The pairs of the earlier model are trained from their exchanges. One that is removed from collection is not."""
    market.collect(ETHER)
    assert market.train()
    aside = Path(market.database).rename(market.folder / "aside.db")
    assert not market.train(NOW + timedelta(hours=6))
    assert list(market.pairs()) == [BTC, ETHER_USD]
    assert "the collected pairs cannot be read, so those of the earlier model are trained: " in caplog.text
    aside.rename(market.database)
    market.collect(ETHER, state=STOPPED)
    market.train(NOW + timedelta(hours=12))
    assert list(market.pairs()) == [BTC]
    assert (
        "ETH/USD is not in the new model, so its forecast is 404 from now on: it is not collected any more"
        in caplog.text
    )


def test_an_invented_market_is_continued_with_invented_prices(market: Collected) -> None:
    """What the page shows of a pair and its forecast must be of the same market; another pair's prices stay real."""
    market.collect(ETHER, source="simulated")
    market.train()
    card = store.load(market.model_file).card
    assert {pair: facts.simulated for pair, facts in card.pairs.items()} == {BTC: False, ETHER: True}


def test_simulated_prices_do_not_replace_real_ones_in_an_outage(market: Collected) -> None:
    """They stand in for exchanges at the first training; later the earlier model stays."""
    both = ("--source", "binance,simulated")
    market.train(NOW, *both)
    before = market.model_file.read_bytes()
    with market.server.failing(replay.answer(451)), pytest.raises(UnusableHistory, match="451"):
        market.train(NOW + timedelta(hours=6), *both)
    assert market.model_file.read_bytes() == before
    market.train(NOW + timedelta(hours=12), "--source", "simulated")
    assert store.load(market.model_file).card.simulated, "it was asked for"
    market.train(NOW + timedelta(hours=18), *both)
    assert market.pairs() == {BTC: "binance"}


def test_a_model_has_room_for_so_many_pairs_the_popular_ones_first(
    market: Collected, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are named in the log; the training does not fail."""
    for number in range(MOST_PAIRS):
        market.collect(Pair(f"A{number:02}", "USDT"))
    market.collect(ETHER)
    market.train()
    assert list(market.pairs()) == [BTC, ETHER_USD]
    assert f"left out, as a model holds {MOST_PAIRS} pairs: A34/USD, A35/USD" in caplog.text


def test_one_variable_serves_the_collector_too() -> None:
    """There it means what is collected already, or else the defaults."""
    assert read_collect_settings((), {"PAIR": "collected"}).pairs == ()
    assert read_collect_settings(("--backfill", "--since", "2026-01-01"), {"PAIR": "collected"}).pairs == DEFAULT_PAIRS
    assert settings_beside("market.db", {"PAIR": "collected,ADA/USD"}).pairs == (Pair("ADA", "USD"),)


# From here on: one pair from the database.


def test_a_simulated_market_that_was_collected_trains_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The newest hour is the anchor, so that a forecast starts where the market is."""
    database, output = str(tmp_path / "market.db"), tmp_path / "model.pkl"
    since = f"{datetime.now(UTC) - timedelta(days=150):%Y-%m-%d}"
    arguments = ("--backfill", "--source", "simulated", "--pair", "BTC/USD", "--interval", "1h", "--since", since)
    assert collect_here(database, *arguments).code == 0
    trained = in_process(
        *("--source", "store", "--database", database, "--output", str(output), "--days", "120", *QUICK), environ={}
    )
    assert trained == 0, capsys.readouterr().err
    card = store.load(output).card.pairs[BTC]
    assert (card.source, card.simulated) == ("store:simulated", True)
    today = datetime.now(UTC).date()
    assert card.last.date() in {today - timedelta(days=1), today - timedelta(days=2)}, "the open day is left out"
    anchor = store.load(output).forecasts[BTC].anchor
    assert datetime.now(UTC) - anchor.at < timedelta(hours=2)
    assert "SIMULATED PRICES" in capsys.readouterr().out


def test_an_empty_store_moves_on_to_the_next_source_or_is_reported_with_what_to_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    open_writer(str(tmp_path / "market.db")).close()
    output, environ = tmp_path / "model.pkl", {"DATABASE_URL": str(tmp_path / "market.db")}
    arguments = ("--days", "120", "--output", str(output), *QUICK)
    assert in_process(*arguments, "--source", "store,simulated", environ=environ) == 0
    assert store.load(output).card.pairs[BTC].source == "simulated"
    assert in_process(*arguments, "--source", "store", environ=environ) == 3
    errors = capsys.readouterr().err
    assert "no candle of BTC/USD is stored; `python collect.py --backfill --pair BTC/USD --since 2021-01-01`" in errors
