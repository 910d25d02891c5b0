"""``/forecast/{pair}/minutes/past``: what was forecast some minutes before each close, beside the close."""

from __future__ import annotations

from crypto_predict.market import Interval
from crypto_predict.web.collected.minutes_ahead import QUANTILES
from crypto_predict.web.collected.pages import Table

MINUTE = Interval.MINUTE_1
COLUMNS = ("time", "close", "cutoff", "price", "prediction", *QUANTILES)
TABLE = Table("/forecast/{}/minutes/past", "forecasts", COLUMNS, ("horizon",))
