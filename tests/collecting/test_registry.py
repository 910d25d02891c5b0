"""Adding and removing pairs: real sources over HTTP, real databases."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from crypto_predict.collecting.registry import HISTORY, Registry, open_registry
from crypto_predict.errors import InvalidValue, RefusedKeys, Unreachable, UnusableHistory
from crypto_predict.market import Interval, Pair, SeriesKey
from crypto_predict.market.clock import Clock
from crypto_predict.market.collected import ACTIVE, STOPPED, CollectedSeries
from crypto_predict.market.ports import PairRegistry
from crypto_predict.sources.alpaca.rest import Alpaca
from crypto_predict.sources.binance.rest import Binance
from crypto_predict.sources.catalog import EXCHANGES
from crypto_predict.sources.exchange import Settings
from crypto_predict.store import WritableDatabase
from tests.support.live import minutes_of
from tests.support.minutes import candles
from tests.support.replay.alpaca import AlpacaExchange
from tests.support.replay.binance import BinanceExchange
from tests.support.replay.minutes import BTC, QUICK, START, full_minutes, minutes
from tests.support.replay.server import ReplayServer, answer
from tests.support.replay.venue import TETHER

ETH, NOPE = Pair("ETH", "USD"), Pair("NOPE", "USD")
NOW = START + timedelta(hours=5)
SINCE = datetime(2021, 1, 1, tzinfo=UTC)


class Exchanges:
    """Alpaca, which has BTC/USD, and Binance, which has BTC/USDT and ETH/USDT."""

    def __init__(self, running: ExitStack) -> None:
        day = minutes(1)
        ether = Pair("ETH", "USDT")
        klines = {(pair, Interval.DAY_1): full_minutes(1) for pair in (TETHER, ether)}
        self.alpaca = running.enter_context(ReplayServer(AlpacaExchange({(BTC, "1Day"): day})))
        self.binance = running.enter_context(ReplayServer(BinanceExchange(klines)))

    def registry(self, database: WritableDatabase) -> Registry:
        """Return a registry of both, at noon of the only day."""
        alpaca = Alpaca(Settings(self.alpaca.url), policy=QUICK)
        binance = Binance(Settings(self.binance.url), policy=QUICK)
        return Registry(database, [alpaca, binance], Clock(NOW))


@pytest.fixture
def exchanges() -> Iterator[Exchanges]:
    """Two exchanges on the replay server."""
    with ExitStack() as running:
        yield Exchanges(running)


def test_the_first_source_that_has_a_pair_is_followed(exchanges: Exchanges, database: WritableDatabase) -> None:
    registry: PairRegistry = exchanges.registry(database)
    first, second = registry.add(BTC), registry.add(ETH, since=SINCE)
    assert first == CollectedSeries(minutes_of("alpaca", BTC), False, ACTIVE, None, None, 0, 0, START - HISTORY)
    assert second.series == minutes_of("binance", Pair("ETH", "USDT"))
    assert (second.state, second.since) == (ACTIVE, SINCE)
    assert database.collected() == [first, second]


def test_a_source_can_be_named(exchanges: Exchanges, file: WritableDatabase) -> None:
    assert exchanges.registry(file).add(BTC, "binance").series == minutes_of("binance", TETHER)
    assert exchanges.alpaca.requests == []
    with pytest.raises(InvalidValue, match="source: 'kraken' is not collected here; these are: alpaca, binance"):
        exchanges.registry(file).add(BTC, "kraken")


@pytest.mark.parametrize("pair", [NOPE, Pair("BTC", "BTC")])
def test_a_pair_that_no_source_has_is_refused(pair: Pair, exchanges: Exchanges, file: WritableDatabase) -> None:
    with pytest.raises(UnusableHistory) as caught:
        exchanges.registry(file).add(pair)
    assert [fault.partition(":")[0] for fault in caught.value.faults] == ["alpaca", "binance"]
    assert file.collected() == []


def test_a_pair_that_was_not_traded_for_a_month_is_refused(exchanges: Exchanges, file: WritableDatabase) -> None:
    """Binance still sends the candles of pairs that it has delisted."""
    binance = Binance(Settings(exchanges.binance.url), policy=QUICK)
    with pytest.raises(UnusableHistory, match="it has no candle of BTC/USDT since 2023-02-09"):
        Registry(file, [binance], Clock(START + timedelta(days=69))).add(BTC)


def test_adding_twice_changes_nothing_and_does_not_ask_again(exchanges: Exchanges, file: WritableDatabase) -> None:
    """The pair is also named by what an exchange trades in its place."""
    registry = exchanges.registry(file)
    added = registry.add(BTC, "binance", SINCE)
    requests = len(exchanges.binance.requests)
    assert registry.add(BTC) == registry.add(TETHER, "binance") == registry.add(BTC, "binance", SINCE) == added
    assert (len(exchanges.binance.requests), exchanges.alpaca.requests) == (requests, [])
    earlier = SINCE - timedelta(days=1)
    assert registry.add(BTC, "binance", earlier).since == earlier


def test_a_pair_that_an_earlier_version_follows_keeps_all_of_its_history(
    exchanges: Exchanges, file: WritableDatabase
) -> None:
    """It has no first day: what is stored already, and what was asked for, does not shrink to the default."""
    series = minutes_of("alpaca", BTC)
    file.follow(series, simulated=False)
    file.set_state(series, STOPPED)
    added = exchanges.registry(file).add(BTC)
    assert (added.series, added.state, added.since) == (series, ACTIVE, None)


def test_an_exchange_that_is_away_is_passed_over_if_another_one_has_the_pair(
    exchanges: Exchanges, file: WritableDatabase
) -> None:
    exchanges.alpaca.inject(answer(503), 100)
    registry = exchanges.registry(file)
    assert registry.add(BTC).series.source == "binance"
    with pytest.raises(Unreachable):
        registry.add(NOPE)
    with pytest.raises(Unreachable):
        registry.add(BTC, "alpaca")


def test_refused_keys_are_an_error(exchanges: Exchanges, file: WritableDatabase) -> None:
    exchanges.alpaca.inject(answer(403), 100)
    keys = Settings(exchanges.alpaca.url, keys={"ALPACA_API_KEY": "key", "ALPACA_SECRET_KEY": "secret"})
    with pytest.raises(RefusedKeys):
        Registry(file, [Alpaca(keys, policy=QUICK)], Clock(NOW)).add(BTC)


def test_a_removed_pair_is_stopped_and_keeps_its_candles(exchanges: Exchanges, database: WritableDatabase) -> None:
    registry = exchanges.registry(database)
    series = registry.add(BTC, "binance", SINCE).series
    hours = SeriesKey("binance", TETHER, Interval.HOUR_1)
    database.follow(hours, simulated=False)
    database.write(series, candles(0, 3))
    assert {(collected.series, collected.state) for collected in registry.remove(BTC)} == {
        (series, STOPPED),
        (hours, STOPPED),
    }
    assert {collected.state for collected in database.collected()} == {STOPPED}
    with pytest.raises(InvalidValue, match="pair: 'BTC/USD' is not collected; these are:"):
        registry.remove(BTC)
    with pytest.raises(InvalidValue, match="pair: 'BTC/USD' is not collected from alpaca; these are:"):
        registry.remove(BTC, "alpaca")
    again = registry.add(BTC, "binance")
    assert (again.state, again.since) == (ACTIVE, SINCE)
    assert again.first_open is not None


def test_the_registry_of_an_environment_has_the_sources_that_it_names(file: WritableDatabase) -> None:
    """The same variable as that of the collector, so that both follow the same sources."""
    registry = open_registry(file, {"SOURCE": "simulated"})
    added = registry.add(NOPE)
    assert (added.series, added.simulated) == (minutes_of("simulated", NOPE), True)
    with pytest.raises(InvalidValue, match="'alpaca' is not collected here; these are: simulated"):
        open_registry(file, {}).add(BTC, "alpaca")  # what is stored is simulated


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, f"these are: {', '.join(EXCHANGES)}"),
        ({"SOURCE": "store,file:prices.csv, binance"}, "these are: binance"),  # the others are for training
        ({"SOURCE": "binance,kraken"}, "'kraken' is not one of"),
    ],
)
def test_the_registry_has_the_exchanges_of_the_environment_or_all(
    environ: dict[str, str], expected: str, file: WritableDatabase
) -> None:
    with pytest.raises(InvalidValue, match=expected):
        open_registry(file, environ).add(BTC, "simulated")


def test_an_exchange_that_is_collected_already_is_asked_first(file: WritableDatabase) -> None:
    """It streams: another one may be without the keys for that."""
    file.follow(minutes_of("binance", TETHER), simulated=False)
    names = ", ".join(["binance", *(name for name in EXCHANGES if name != "binance")])
    with pytest.raises(InvalidValue, match=f"these are: {names}"):
        open_registry(file, {}).add(BTC, "simulated")
