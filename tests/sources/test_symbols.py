import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from crypto_predict.errors import UnusableHistory
from crypto_predict.market import Pair
from crypto_predict.sources.catalog import EXCHANGES as CATALOG
from crypto_predict.sources.exchange import Exchange

EXCHANGES = ALPACA, BINANCE, POLONIEX = [CATALOG[name] for name in ("alpaca", "binance", "poloniex")]
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
    assert [exchange.symbol(Pair.parse(pair)) for exchange in EXCHANGES] == [alpaca, binance, poloniex]


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.id)
@given(pair=pairs)
def test_a_traded_pair_is_traded_as_itself(exchange: Exchange, pair: Pair) -> None:
    """A stored series has the traded pair, with which the exchange is asked again."""
    try:
        traded = exchange.traded(pair)
    except UnusableHistory:
        assume(False)
    assert exchange.traded(traded) == traded
    assert exchange.symbol(traded) == exchange.symbol(pair)


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.id)
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
