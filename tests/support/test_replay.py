from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from alpaca.data.historical.crypto import CryptoHistoricalDataClient
from alpaca.data.requests import CryptoBarsRequest
from alpaca.data.timeframe import TimeFrame
from binance.client import Client
from binance.exceptions import BinanceAPIException

from crypto_predict.market import Candle, Interval, Pair, Quote
from tests.support.replay.alpaca import AlpacaExchange, Paging
from tests.support.replay.binance import BinanceExchange
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


def test_the_sdk_of_binance_itself_reads_what_is_replayed() -> None:
    """Also its own paging, which no part of this program uses."""
    candles = [candle._replace(quote_volume=7.5, taker_base_volume=0.25, taker_quote_volume=3.0) for candle in MINUTES]
    quote = Quote(START, bid=4.0, bid_size=431.0, ask=4.000002, ask_size=9.0)
    pair = Pair("BTC", "USDT")
    with ReplayServer(BinanceExchange({(pair, Interval.MINUTE_1): candles}, {pair: quote})) as server:
        client = Client(ping=False)
        client.API_URL = f"{server.url}/api"
        rows = client.get_historical_klines("BTCUSDT", "1m", int(START.timestamp()) * 1000)
        top = client.get_orderbook_ticker(symbol="BTCUSDT")
        assert client.get_orderbook_ticker() == [top]
        with pytest.raises(BinanceAPIException) as caught:
            client.get_klines(symbol="BTXUSDT", interval="1m")
    assert (caught.value.status_code, caught.value.code, caught.value.message) == (400, -1121, "Invalid symbol.")
    # The weight of all these requests, or since the minute that began meanwhile.
    assert 2 <= int(caught.value.response.headers["X-MBX-USED-WEIGHT-1M"]) <= 16
    assert [row[0] for row in rows] == [int(candle.open_time.timestamp()) * 1000 for candle in candles]
    assert rows[2] == [
        *(1700000160000, "102.00000000", "104.00000000", "99.00000000", "103.00000000", "0.50000000", 1700000219999),
        *("7.50000000", 2, "0.25000000", "3.00000000", "0"),
    ]
    assert top == {
        "symbol": "BTCUSDT",
        "bidPrice": "4.00000000",
        "bidQty": "431.00000000",
        "askPrice": "4.00000200",
        "askQty": "9.00000000",
    }


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"page": "2"}, -1104),
        ({"timeZone": "0", "page": "2"}, -1101),
        ({"symbol": ["BTCUSDT", "BTCUSDT"]}, -1101),
        ({"symbol": "BTC/USDT"}, -1100),
        ({"symbol": "btcusdt"}, -1100),
        ({"symbol": "BTXUSDT"}, -1121),
        ({"symbol": ""}, -1102),
        ({"interval": "10m"}, -1120),
        ({"interval": "1Min"}, -1120),
        ({"limit": "0"}, -1130),
        ({"limit": "1001"}, -1130),
        ({"limit": ""}, -1105),
        ({"startTime": "-1"}, -1100),
        ({"startTime": "1.7e12"}, -1100),
        ({"startTime": "yesterday"}, -1100),
        ({"endTime": "1700000000000"}, -1128),
        ({"timeZone": "8"}, -1130),
    ],
)
def test_a_request_that_binance_refuses_is_refused_with_its_code(change: dict[str, Any], code: int) -> None:
    query = {
        "symbol": "BTCUSDT",
        "interval": "1m",
        "startTime": "1700000040000",
        "endTime": "1700000099999",
        "limit": "9",
    }
    with ReplayServer(BinanceExchange({(Pair("BTC", "USDT"), Interval.MINUTE_1): MINUTES})) as server:
        answer = requests.get(f"{server.url}/api/v3/klines", {**query, **change}, timeout=30)
        unknown = requests.get(f"{server.url}/api/v1/klines", query, timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert unknown.status_code == 404


def test_binance_refuses_what_exceeds_the_weight_of_a_minute() -> None:
    with ReplayServer(BinanceExchange({}, weight_a_minute=6)) as server:
        answers = [requests.get(f"{server.url}/api/v3/ticker/bookTicker", timeout=30) for _ in range(6)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) >= 2  # the minute may change between two of them
    assert refused[0].json()["code"] == -1003
    assert 1 <= int(refused[0].headers["Retry-After"]) <= 60
