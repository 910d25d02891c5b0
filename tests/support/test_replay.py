from datetime import UTC, datetime, timedelta

import pytest
import requests
from alpaca.data.historical.crypto import CryptoHistoricalDataClient
from alpaca.data.requests import CryptoBarsRequest
from alpaca.data.timeframe import TimeFrame

from crypto_predict.market import Candle, Pair
from tests.support.replay.alpaca import AlpacaExchange, Paging
from tests.support.replay.server import ReplayServer

START = datetime(2023, 11, 14, 22, 14, tzinfo=UTC)
MINUTES = [
    Candle(START + timedelta(minutes=i), 100.0 + i, 102.0 + i, 99.0, 101.0 + i, 0.5, trades=i) for i in range(1500)
]
MARKET = {(Pair("BTC", "USD"), "1Min"): MINUTES, (Pair("ETH", "USD"), "1Min"): MINUTES[:3]}
QUERY = {"symbols": "BTC/USD", "timeframe": "1Min", "start": START.isoformat()}


def test_the_sdk_itself_reads_what_is_replayed() -> None:
    """The replayed format is correct only if the SDK of the exchange can parse it."""
    with ReplayServer(AlpacaExchange(MARKET, Paging(rows=(420, 130)))) as server:
        client = CryptoHistoricalDataClient(url_override=server.url)
        question = CryptoBarsRequest(
            symbol_or_symbols=["ETH/USD", "BTC/USD"], timeframe=TimeFrame(1, TimeFrame.Minute.unit), start=START
        )
        bars = client.get_crypto_bars(question)
    assert not isinstance(bars, dict)
    assert {symbol: len(rows) for symbol, rows in bars.data.items()} == {"BTC/USD": 1500, "ETH/USD": 3}
    assert [row.timestamp for row in bars.data["BTC/USD"]] == [candle.open_time for candle in MINUTES]
    assert [row.close for row in bars.data["BTC/USD"]] == [candle.close for candle in MINUTES]


def test_a_page_is_1000_rows_unless_asked_otherwise() -> None:
    with ReplayServer(AlpacaExchange(MARKET)) as server:
        page = requests.get(f"{server.url}/v1beta3/crypto/us/bars", QUERY, timeout=30).json()
        rest = {**QUERY, "page_token": page["next_page_token"], "limit": "10000"}
        last = requests.get(f"{server.url}/v1beta3/crypto/us/bars", rest, timeout=30).json()
    assert len(page["bars"]["BTC/USD"]) == 1000
    assert len(last["bars"]["BTC/USD"]) == 500
    assert last["next_page_token"] is None


@pytest.mark.parametrize(
    "change",
    [
        {"adjustment": "raw"},
        {"symbols": ""},
        {"timeframe": "60Min"},
        {"start": "yesterday"},
        {"start": "2023-11-14T22:14:00"},
        {"end": "2020-01-01"},
        {"limit": "0"},
        {"limit": "10001"},
        {"sort": "down"},
        {"page_token": "page 2"},
    ],
)
def test_a_request_that_the_exchange_refuses_is_refused(change: dict[str, str]) -> None:
    """A lenient replay would hide a request that the exchange answers with 400."""
    with ReplayServer(AlpacaExchange(MARKET)) as server:
        answer = requests.get(f"{server.url}/v1beta3/crypto/us/bars", {**QUERY, **change}, timeout=30)
    assert answer.status_code == 400
    assert answer.json()["message"]


def test_other_addresses_are_404() -> None:
    with ReplayServer(AlpacaExchange(MARKET)) as server:
        assert requests.get(f"{server.url}/v2/stocks/bars", timeout=30).status_code == 404
