import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crypto_predict.errors import InvalidValue, UnusableHistory
from crypto_predict.market import Pair
from crypto_predict.sources.catalog import EXCHANGES, open_sources, source_names
from crypto_predict.sources.exchange import Exchange

ROOT = Path(__file__).parents[2]
BTC, ETH, BTC_EUR = Pair("BTC", "USD"), Pair("ETH", "USD"), Pair("BTC", "EUR")


@pytest.mark.parametrize(
    "text",
    ["alpaca", "binance", "poloniex", "simulated", "file:prices.csv", "file:/data/{base}.csv.gz", "file:a b", "file: "],
)
def test_a_known_name_is_accepted_unchanged(text: str) -> None:
    assert source_names(text) == (text,)


UNKNOWN = ["", " ", "kraken", "Binance", "alpaca ", "file", "file:", "prices.csv", "simulated:1", "x" * 10_000]


@pytest.mark.parametrize("text", UNKNOWN)
def test_an_unknown_name_is_refused_with_the_known_names(text: str) -> None:
    with pytest.raises(InvalidValue, match=f"one of {', '.join(EXCHANGES)}, store, simulated, file:PATH$") as error:
        source_names(text)
    assert (error.value.name, error.value.value) == ("source", text)


def test_sources_are_opened_in_the_order_of_their_names() -> None:
    names = ["simulated", "file:prices.csv", "poloniex", "binance", "alpaca"]
    sources = open_sources(names, {}, seed=0, pairs=[BTC])
    assert [source.id for source in sources] == names
    assert [source.simulated for source in sources] == [True, False, False, False, False]


def test_all_exchanges_have_one_word() -> None:
    """A default that lists them would have to be changed for each new exchange."""
    assert source_names("exchanges") == tuple(EXCHANGES)
    sources = open_sources(["binance", "exchanges", "simulated"], {}, seed=0, pairs=[BTC])
    others = (name for name in EXCHANGES if name != "binance")
    assert [source.id for source in sources] == ["binance", *others, "simulated"]


def test_an_unknown_source_is_refused_before_any_is_read() -> None:
    with pytest.raises(InvalidValue, match="'kraken' is not one of"):
        open_sources(["alpaca", "kraken"], {}, seed=0, pairs=[BTC])


@pytest.mark.parametrize("path", ["prices.csv", "{quote}.csv", "base.csv", "{BASE}.csv"])
def test_one_file_for_several_pairs_is_refused(path: str) -> None:
    """The forecast of one currency must not be made from the prices of another."""
    with pytest.raises(InvalidValue, match=r"\{base\} and \{quote\}"):
        open_sources([f"file:{path}"], {}, seed=0, pairs=[BTC, ETH])


@pytest.mark.parametrize(
    ("path", "pairs"),
    [
        ("prices.csv", [BTC]),
        ("prices.csv", [BTC, BTC]),
        ("{base}.csv", [BTC, ETH]),
        ("{quote}.csv", [BTC, BTC_EUR]),
        ("{base}-{quote}.csv", [BTC, ETH, BTC_EUR]),
    ],
)
def test_a_path_with_one_file_for_each_pair_is_accepted(path: str, pairs: list[Pair]) -> None:
    [source] = open_sources([f"file:{path}"], {}, seed=0, pairs=pairs)
    assert source.id == f"file:{path}"


def test_the_exchange_libraries_are_imported_only_when_an_exchange_is_opened() -> None:
    """The import takes a second, and ``--help`` must not wait for it."""
    program = (
        "import sys; from crypto_predict.sources import catalog; "
        "catalog.open_sources(['simulated', 'file:x'], {}, 0, []); "
        "sys.exit('alpaca' in sys.modules or 'binance' in sys.modules or 'pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


SOME = ALPACA, BINANCE, POLONIEX = [EXCHANGES[name] for name in ("alpaca", "binance", "poloniex")]
currencies = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=9)
pairs = st.builds(Pair, currencies, currencies | st.sampled_from(sorted(BINANCE.symbols.quotes or ())))


@pytest.mark.parametrize(
    ("pair", "alpaca", "binance", "poloniex"),
    [
        ("BTC/USD", "BTC/USD", "BTCUSDT", "BTC_USDT"),
        ("BTC/USDT", "BTC/USDT", "BTCUSDT", "BTC_USDT"),
        ("ETH/BTC", "ETH/BTC", "ETHBTC", "ETH_BTC"),
        ("1000SATS/USDT", "1000SATS/USDT", "1000SATSUSDT", "1000SATS_USDT"),
        ("ADA/EUR", "ADA/EUR", "ADAEUR", "ADA_EUR"),
        ("BTC/TUSD", "BTC/TUSD", "BTCTUSD", "BTC_TUSD"),
    ],
)
def test_each_exchange_writes_a_pair_in_its_own_way(pair: str, alpaca: str, binance: str, poloniex: str) -> None:
    assert [exchange.symbol(Pair.parse(pair)) for exchange in SOME] == [alpaca, binance, poloniex]


@pytest.mark.parametrize("exchange", SOME, ids=lambda exchange: exchange.id)
@given(pair=pairs)
def test_a_traded_pair_is_traded_as_itself(exchange: Exchange, pair: Pair) -> None:
    """A stored series has the traded pair, with which the exchange is asked again."""
    try:
        traded = exchange.traded(pair)
    except UnusableHistory:
        assume(False)
    assert exchange.traded(traded) == traded
    assert exchange.symbol(traded) == exchange.symbol(pair)


@pytest.mark.parametrize("exchange", SOME, ids=lambda exchange: exchange.id)
@given(pair=pairs, another=pairs)
def test_one_symbol_never_means_two_pairs(exchange: Exchange, pair: Pair, another: Pair) -> None:
    """Otherwise the prices of one pair would be stored under the name of another."""
    try:
        equal = exchange.symbol(pair) == exchange.symbol(another)
    except UnusableHistory:
        assume(False)
    assert equal == (exchange.traded(pair) == exchange.traded(another))


@pytest.mark.parametrize(
    ("exchange", "pair", "reason"),
    [
        (
            BINANCE,
            Pair("BTCU", "SDT"),
            "it cannot have the pair 'BTCU/SDT': the quote currencies known there are ARS, ",
        ),
        (BINANCE, Pair("USDT", "USD"), "both currencies are the same; USDT is traded there in place of USD"),
        (BINANCE, Pair("A" * 17, "USDT"), "its symbols have at most 20 characters"),
        (BINANCE, Pair("", "USDT"), "a currency has 1 to 20 capital letters and digits"),
        (POLONIEX, Pair("../../BTC", "USDT"), "a currency has 1 to 20 capital letters and digits"),
        (POLONIEX, Pair("BTC", "BTC"), "both currencies are the same"),
        (POLONIEX, Pair("BTC", "USDT?x=1"), "a currency has 1 to 20 capital letters and digits"),
        (ALPACA, Pair("BTC/USD,ETH", "USD"), "a currency has 1 to 20 capital letters and digits"),
        (ALPACA, Pair("BTC\n", "USD"), "a currency has 1 to 20 capital letters and digits"),
        (ALPACA, Pair("X" * 10**6, "USD"), "a currency has 1 to 20 capital letters and digits"),
    ],
)
def test_a_pair_that_an_exchange_cannot_have_is_refused(exchange: Exchange, pair: Pair, reason: str) -> None:
    """Before a request: a wrong symbol could be another pair, or another address."""
    for translate in (exchange.traded, exchange.symbol):
        with pytest.raises(UnusableHistory) as caught:
            translate(pair)
        assert reason in caught.value.faults[0]
        assert caught.value.subject == exchange.id
        assert len(str(caught.value)) < 400
