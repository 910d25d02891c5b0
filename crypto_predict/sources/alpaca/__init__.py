"""Alpaca Markets, whose prices are those of its own venue, in dollars, from about April 2021 on.

* ``rest``: its past candles and its quotes
* ``stream``: its live minutes and quotes, with keys
"""

import re
from collections.abc import Mapping

from crypto_predict.errors import InvalidValue
from crypto_predict.market import Interval
from crypto_predict.settings import masked
from crypto_predict.sources.exchange import Address, Exchange, Rate, Settings, Symbols

_LOCATION = re.compile(r"[a-z0-9-]{2,20}")
_STREAM_OF_LOCATION = re.compile(rf"/crypto/({_LOCATION.pattern})$")
_DEFAULT = "us"
_STREAM = Address("ALPACA_STREAM_URL", f"wss://stream.data.alpaca.markets/v1beta3/crypto/{_DEFAULT}")


def _located(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """Read ``ALPACA_LOCATION``. The location of an address of the stream is that of REST, too; another is refused."""
    named = environ.get("ALPACA_LOCATION")
    if named and not _LOCATION.fullmatch(named):
        raise InvalidValue("ALPACA_LOCATION", named, "a location of Alpaca such as us, us-1 or eu-1")
    stream_url = settings.stream_url
    if named and not environ.get(_STREAM.variable):
        stream_url = stream_url.removesuffix(_DEFAULT) + named
    streamed = _STREAM_OF_LOCATION.search(stream_url)
    location = named or (streamed[1] if streamed else _DEFAULT)
    if streamed and streamed[1] != location:
        raise InvalidValue(_STREAM.variable, masked(stream_url), f"of the location {location}, ALPACA_LOCATION")
    return Settings(settings.api_url, stream_url, settings.keys, location)


EXCHANGE = Exchange(
    id="alpaca",
    name="Alpaca",
    symbols=Symbols("/", longest=31),
    api=Address("ALPACA_DATA_URL", "https://data.alpaca.markets"),
    stream=_STREAM,
    intervals={
        Interval.MINUTE_1: "1Min",
        Interval.MINUTE_5: "5Min",
        Interval.MINUTE_10: "10Min",
        Interval.MINUTE_15: "15Min",
        Interval.MINUTE_30: "30Min",
        Interval.HOUR_1: "1Hour",
        Interval.HOUR_4: "4Hour",
        Interval.DAY_1: "1Day",
    },
    page=10_000,
    rate=Rate(weight=100),
    source="crypto_predict.sources.alpaca.rest:Alpaca",
    feed="crypto_predict.sources.alpaca.stream:feed",
    keys=("ALPACA_API_KEY", "ALPACA_SECRET_KEY"),
    other_variables=("ALPACA_LOCATION",),
    located=_located,
)
