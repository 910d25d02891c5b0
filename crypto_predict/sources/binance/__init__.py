"""Binance's spot market, which trades USDT in place of dollars, from August 2017 on.

* ``rest``: its past candles and its quotes
* ``stream``: its live minutes and quotes
"""

from crypto_predict.market import Interval
from crypto_predict.sources.exchange import Address, Exchange, Rate, Symbols

EXCHANGE = Exchange(
    id="binance",
    name="Binance",
    symbols=Symbols(
        "",
        longest=20,
        substitutes={"USD": "USDT"},
        # No entry ends with another one, so that a symbol means one pair. AEUR is left out for that: ADAEUR is ADA/EUR.
        quotes=frozenset(
            [
                *("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USD1", "USDP", "DAI", "EURI", "XUSD", "RLUSD"),
                *("BTC", "ETH", "BNB", "XRP", "TRX", "DOGE", "DOT", "SOL"),
                *("EUR", "GBP", "TRY", "BRL", "ARS", "JPY", "MXN", "COP", "PLN", "RON", "CZK", "UAH", "RUB", "ZAR"),
                *("NGN", "AUD", "IDR"),
            ]
        ),
    ),
    # The hosts of market data. The main ones refuse some countries, and with them GitHub's runners.
    api=Address("BINANCE_API_URL", "https://data-api.binance.vision"),
    stream=Address("BINANCE_STREAM_URL", "wss://data-stream.binance.vision"),
    intervals={
        Interval.MINUTE_1: "1m",
        Interval.MINUTE_5: "5m",
        Interval.MINUTE_15: "15m",
        Interval.MINUTE_30: "30m",
        Interval.HOUR_1: "1h",
        Interval.HOUR_4: "4h",
        Interval.DAY_1: "1d",
    },
    page=1_000,
    rate=Rate(weight=5_400),  # Binance allows 6000 for an address, and bans one that goes on
    source="crypto_predict.sources.binance.rest:Binance",
    feed="crypto_predict.sources.binance.stream:feed",
    unknown_pair=frozenset({"-1121"}),
)
