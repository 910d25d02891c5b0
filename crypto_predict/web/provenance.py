"""The provenance of a price, as members of a row and as headers of an answer.

``kind``
    ``fitted`` up to the newest price, ``forecast`` after it.
``as_of``
    The instant of the newest price used. The fitted curve and Prophet alone use daily closes; the combined forecast
    starts from the anchor, which is newer if the source has hourly prices.
``pair``, ``model``
    Whose forecast it is.
``simulated``
    Whether the prices used are invented.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import COMBINED
from crypto_predict.baked.schema import PairForecast
from crypto_predict.market import Pair

KIND = "Crypto-Predict-Kind"
AS_OF = "Crypto-Predict-As-Of"
PAIR = "Crypto-Predict-Pair"
MODEL = "Crypto-Predict-Model"
SIMULATED = "Crypto-Predict-Simulated"
HEADERS = (KIND, AS_OF, PAIR, MODEL, SIMULATED)

FITTED, FORECAST = "fitted", "forecast"
KINDS = (FITTED, FORECAST)


@dataclass(frozen=True, slots=True)
class Basis:
    """The provenance of one price."""

    kind: str
    as_of: datetime
    pair: Pair
    model: str
    simulated: bool

    def headers(self) -> list[tuple[str, str]]:
        """As headers; `SIMULATED` only if the prices are."""
        return [
            (KIND, self.kind),
            (AS_OF, plain.encode(self.as_of)),
            (PAIR, str(self.pair)),
            (MODEL, self.model),
            *simulated_header(self.simulated),
        ]

    def members(self) -> str:
        """As the last members of a JSON object."""
        return json.dumps(plain.encode(self))[1:-1]


class Provenance:
    """The provenance of the prices of one pair by one model."""

    def __init__(self, pair: Pair, model: str, forecast: PairForecast, *, simulated: bool) -> None:
        close = forecast.last_close_time
        self.newest = forecast.anchor.at if model == COMBINED else close
        self._close = close
        self.fitted = Basis(FITTED, close, pair, model, simulated)
        self.forecast = Basis(FORECAST, self.newest, pair, model, simulated)
        self._fitted_headers = self.fitted.headers()
        self._known_headers = Basis(FITTED, self.newest, pair, model, simulated).headers()
        self._forecast_headers = self.forecast.headers()

    def headers(self, instant: datetime) -> list[tuple[str, str]]:
        """Return the headers of a price at `instant` (UTC). Between the last close and the anchor it uses both."""
        if instant > self.newest:
            return self._forecast_headers
        return self._fitted_headers if instant <= self._close else self._known_headers


def simulated_header(simulated: bool) -> list[tuple[str, str]]:
    """Return the header that marks invented prices, if they are."""
    return [(SIMULATED, "true")] if simulated else []
