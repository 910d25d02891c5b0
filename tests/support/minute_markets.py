"""Markets of minutes, made of seeded random numbers, whose volatility comes in clusters as that of a real one."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from crypto_predict.forecasting.minutes.features import MinuteState
from crypto_predict.history.columns import Candles
from crypto_predict.market import Candle, Interval

START = datetime(2024, 5, 17, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = 1_440  # minutes
USUAL = 5e-4  # the standard deviation of a minute's return


def market(seed: int, minutes: int, *, price: float = 100.0, tick: float = 0.01, flow: bool = False) -> list[Candle]:
    """Return the candles of so many minutes. The standard deviation of a minute doubles and halves within hours.

    Prices are multiples of `tick`. With `flow`, candles have trades and taker volumes.
    """
    rng = np.random.default_rng(seed)
    shocks, log_scale = rng.standard_normal(minutes), np.zeros(minutes)
    for index in range(1, minutes):
        log_scale[index] = 0.99 * log_scale[index - 1] + 0.1 * shocks[index]
    moves = USUAL * np.exp(log_scale) * rng.standard_normal(minutes)
    closes = price * np.exp(np.cumsum(moves))
    opens = np.concatenate([[price], closes[:-1]])
    reach = USUAL * np.exp(log_scale) * np.abs(rng.standard_normal((2, minutes))) / 2
    prices = np.column_stack(
        [opens, np.maximum(opens, closes) * (1 + reach[0]), np.minimum(opens, closes) * (1 - reach[1]), closes]
    )
    prices = np.round(prices / tick) * tick
    volumes = np.exp(log_scale + rng.standard_normal(minutes) / 2)
    bought = rng.random(minutes)
    rows = zip(*prices.T.tolist(), volumes.tolist(), bought.tolist(), strict=True)
    candles = []
    for index, (first, high, low, last, volume, share) in enumerate(rows):
        candle = Candle(START + index * MINUTE, first, high, low, last, volume)
        candles.append(candle._replace(trades=int(100 * volume), taker_base_volume=share * volume) if flow else candle)
    return candles


def still(first: Candle, minutes: int, volume: float = 0.0) -> list[Candle]:
    """Return candles that follow one, at its close, which does not move."""
    price = first.close
    return [
        Candle(first.open_time + number * MINUTE, price, price, price, price, volume)
        for number in range(1, minutes + 1)
    ]


def later(candles: Sequence[Candle], minutes: int, times: float = 1.0) -> list[Candle]:
    """Return candles so many minutes later, their prices multiplied."""
    return [
        candle._replace(
            open_time=candle.open_time + minutes * MINUTE,
            open=candle.open * times,
            high=candle.high * times,
            low=candle.low * times,
            close=candle.close * times,
        )
        for candle in candles
    ]


def columns(candles: Sequence[Candle]) -> Candles:
    return Candles.of(candles, Interval.MINUTE_1)


def state_of(candles: Sequence[Candle]) -> MinuteState:
    state = MinuteState()
    for candle in candles:
        state.add(candle)
    return state
