"""Forecasts of the next minutes and hours, and the sums of the scores of the former."""

from dataclasses import dataclass
from datetime import datetime

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)  # of the quantiles of every forecast
MINUTES_AHEAD = 15  # the longest horizon of a minute forecast
HOURS_AHEAD = 24  # that of a forecast of hours


@dataclass(frozen=True, slots=True)
class MinuteForecast:
    """The closes that are expected at the ends of the next minutes. Prices are in the pair's quote currency."""

    cutoff: datetime  # UTC, the close of the newest candle: minute 1 ends one minute later
    price: float  # at the cutoff, which is what persistence forecasts
    points: tuple[float, ...]  # (15,) at 1, 2, ... minutes after the cutoff
    quantiles: tuple[tuple[float, ...], ...]  # (15, 7) at `LEVELS`, ascending in each row


@dataclass(frozen=True, slots=True)
class HourForecast:
    """The price at the ends of the next hours, around that at the cutoff."""

    cutoff: datetime  # UTC, the close of the newest hour: hour 1 ends one hour later
    price: float  # at the cutoff, in the pair's quote currency
    quantiles: tuple[tuple[float, ...], ...]  # (24, 7) log prices at `LEVELS`, minus that of `price`; ascending


@dataclass(frozen=True, slots=True)
class MinuteScores:
    """Sums over the minute forecasts of one horizon whose outcome is known. Losses are of log price.

    Divide by `forecasts` for means. `forecasting.minutes.outcomes` has the formulas and their sources.
    """

    horizon_minutes: int
    forecasts: int
    error: float  # absolute
    persistence_error: float
    winkler: float  # of the 80 % interval
    persistence_winkler: float  # of persistence with a Gaussian interval of the last day's volatility
    crps: float  # by the quantiles
    persistence_crps: float  # by those of the same Gaussian
    inside_50: int  # outcomes inside the central interval of 50 %
    inside_80: int
    inside_90: int


@dataclass(frozen=True, slots=True)
class MinuteModel:
    """The coefficients from which the minute forecasts of one series are computed."""

    fitted_at: datetime  # UTC
    content: str  # JSON, as `forecasting.minutes` writes it
