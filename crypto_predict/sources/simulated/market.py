"""The invented market: its candles as a source.

The daily log price is a mean-reverting random walk with stochastic volatility and jumps:

* the logarithm of volatility is autoregressive of order one (Taylor, "Modelling Financial Time Series", 1986):
  ``h' = PERSISTENCE h + VOLATILITY_OF_VOLATILITY z``; the diffusion of a day is ``DAILY_VOLATILITY exp(h)``
* jumps arrive at random and are normal in log price (Merton, "Option pricing when underlying stock returns are
  discontinuous", 1976)
* the drift is small and pulls towards the pair's long-run level (Schwartz, "The stochastic behavior of commodity
  prices", 1997, model 1)
* each weekday has its own drift, volatility and turnover; weekends are calm
* the high and low of a day are the extremes of a Brownian bridge from open to close, each drawn from its exact law
  (Glasserman, "Monte Carlo Methods in Financial Engineering", 2003, section 6.4)

The annual volatility is about 60 %. Minutes are a bridge through the open, extremes and close of the day, so a day
does not depend on its minutes and still equals their sum. Only ``Random.random`` is used, whose sequence Python
promises to keep. Prices are rounded, which hides the last bits of ``math``.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import accumulate, chain, pairwise
from random import Random

from crypto_predict.market import DAY, Candle, Interval, Pair, Span, aggregate, price_decimals

GENESIS = datetime(2017, 1, 1, tzinfo=UTC)  # the first candle opens here

DAILY_VOLATILITY = 0.0267  # of the log price, where h is zero
PERSISTENCE = 0.97
VOLATILITY_OF_VOLATILITY = 0.085
JUMPS_A_DAY = 0.02
JUMP_MEAN, JUMP_DEVIATION = -0.01, 0.06  # of the log price
PULL_A_DAY = 0.002  # share of the distance to the long-run level: half of it in a year
TURNOVER = 50e6  # a day, in dollars
VOLUME_STEPS = 2**24  # in the volume of an ordinary day; a step is a power of two, so that sums are exact

MINUTES = 1440  # a day
EXTREMES = (60, 700), (740, 1380)  # ranges of minutes of the first and the second one

_WEEK = (  # Monday first: drift of the log price, and factors of volatility and turnover
    (0.0015, 1.10, 1.10),
    (0.0005, 1.05, 1.10),
    (0.0005, 1.10, 1.15),
    (-0.0010, 1.10, 1.15),
    (0.0005, 1.05, 1.05),
    (-0.0010, 0.75, 0.70),
    (-0.0010, 0.75, 0.70),
)
CURRENCIES = {  # long-run levels in dollars
    "BTC": 30_000.0,
    "ETH": 2_000.0,
    "BNB": 300.0,
    "BCH": 300.0,
    "LTC": 90.0,
    "SOL": 80.0,
    "AVAX": 25.0,
    "LINK": 12.0,
    "UNI": 8.0,
    "DOT": 6.0,
    "XRP": 0.6,
    "ADA": 0.5,
    "DOGE": 0.1,
    "TRX": 0.1,
    "SHIB": 1e-5,
}
_DOLLARS = CURRENCIES | {  # and those of money
    "USD": 1.0,
    "USDT": 1.0,
    "USDC": 1.0,
    "EUR": 1.1,
    "GBP": 1.25,
    "JPY": 0.007,
}


Day = tuple[Candle, float]  # and the volatility of the log price over it


class Simulated:
    """The invented market as a source. A candle depends only on seed, pair and time."""

    id = "simulated"
    simulated = True
    intervals = frozenset(Interval)

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def traded(self, pair: Pair) -> Pair:
        """Return the pair itself: the invented market has every pair."""
        return pair

    def newest_close(self, pair: Pair, interval: Interval, limit: datetime) -> datetime:  # noqa: ARG002 the port's signature
        """Return `limit` (UTC) rounded down to the interval."""
        return interval.floor(limit)

    def candles(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Candle]:
        """Return the candles that open in `span`, from 2017 on."""
        days = _days(pair, self._random(pair, "days"), span.end)
        if interval is Interval.DAY_1:
            yield from (day for day, _ in days if day.open_time in span)
            return
        draw = _hours if interval.seconds % Interval.HOUR_1.seconds == 0 else _minutes
        parts = chain.from_iterable(self._parts(draw, pair, days, Interval.DAY_1.floor(span.start)))
        yield from (candle for candle in aggregate(parts, interval) if candle.open_time in span)

    def days_of_minutes(self, pair: Pair, first: datetime) -> Iterator[Sequence[Candle]]:
        """Yield the minutes of each day, from the one that opens at `first` (UTC) or from 2017 on, without end.

        The first day takes as long as `candles`, each of the others a tenth of that.
        """
        days = _days(pair, self._random(pair, "days"), datetime.max.replace(tzinfo=UTC))
        return self._parts(_minutes, pair, days, first)

    def _parts(
        self, draw: Callable[[Pair, Day, Random], Iterator[Candle]], pair: Pair, days: Iterator[Day], first: datetime
    ) -> Iterator[Sequence[Candle]]:
        """Yield the minutes or the hours of each day from the one that opens at `first` on."""
        for day in days:
            if day[0].open_time >= first:
                yield list(draw(pair, day, self._random(pair, f"{day[0].open_time:%Y-%m-%d}")))

    def _random(self, pair: Pair, purpose: str) -> Random:
        digest = hashlib.sha256(f"{self._seed} {pair} {purpose}".encode()).digest()
        return Random(int.from_bytes(digest, "big"))  # noqa: S311 prices, not secrets


def _dollars(currency: str) -> float:
    """Return the long-run price of a currency. An unknown one costs between a cent and a hundred dollars."""
    if currency in _DOLLARS:
        return _DOLLARS[currency]
    share = int.from_bytes(hashlib.sha256(currency.encode()).digest()[:6], "big") / 2**48
    return math.pow(10, 4 * share - 2)


def _scale(pair: Pair) -> tuple[float, int, float]:
    """Return the long-run price of a pair, the decimals of its prices, and the step of its volumes, a power of two."""
    level = _dollars(pair.base) / _dollars(pair.quote)
    step = math.ldexp(1.0, math.floor(math.log2(TURNOVER / _dollars(pair.base) / VOLUME_STEPS)))
    return level, price_decimals(level) + 2, step


def _days(pair: Pair, random: Random, end: datetime) -> Iterator[Day]:
    """Yield every day from the genesis on that opens before `end`. Each takes the same number of draws."""
    level, decimals, step = _scale(pair)
    opening, log_open, log_volatility = GENESIS, math.log(level), 0.0
    while opening < end:
        weekday_drift, weekday_volatility, weekday_turnover = _WEEK[opening.weekday()]
        log_volatility = PERSISTENCE * log_volatility + VOLATILITY_OF_VOLATILITY * _normal(random)
        volatility = DAILY_VOLATILITY * weekday_volatility * math.exp(log_volatility)
        drift = weekday_drift + PULL_A_DAY * (math.log(level) - log_open)
        diffusion, jump = volatility * _normal(random), JUMP_MEAN + JUMP_DEVIATION * _normal(random)
        change = drift + diffusion + (jump if random.random() < JUMPS_A_DAY else 0.0)
        offsets = (0.0, *_extremes(random, change, volatility), change)
        open_, high, low, close = (round(math.exp(log_open + offset), decimals) for offset in offsets)
        steps = round(VOLUME_STEPS * weekday_turnover * math.exp(log_volatility + 0.2 * _normal(random)))
        yield Candle(opening, open_, high, low, close, steps * step), volatility
        opening, log_open = opening + DAY, log_open + change


def _extremes(random: Random, change: float, volatility: float) -> tuple[float, float]:
    """Return the highest and lowest point of a Brownian bridge from 0 to `change`."""
    up, down = (math.sqrt(change**2 + 2 * volatility**2 * _exponential(random)) for _ in range(2))
    return (change + up) / 2, (change - down) / 2


def _minutes(pair: Pair, day: Day, random: Random) -> Iterator[Candle]:
    """Yield the minutes of a day. Together they are exactly the candle of the day."""
    (whole, volatility), (_, decimals, step) = day, _scale(pair)
    prices = _path(day, decimals, random)
    edges = _edges(round(whole.volume / step), [_exponential(random) for _ in range(MINUTES)])
    wick = volatility / math.sqrt(MINUTES) / 2
    for minute, (open_, close) in enumerate(pairwise(prices)):
        high = max(open_, close) * math.exp(wick * _exponential(random))
        low = min(open_, close) * math.exp(-wick * _exponential(random))
        yield Candle(
            open_time=whole.open_time + minute * Interval.MINUTE_1.length,
            open=open_,
            high=min(round(high, decimals), whole.high),
            low=max(round(low, decimals), whole.low),
            close=close,
            volume=(edges[minute + 1] - edges[minute]) * step,
        )


def _hours(pair: Pair, day: Day, random: Random) -> Iterator[Candle]:
    """Yield the hours of a day, which are its minutes joined, in half the time: a year of them is trained on.

    Each minute draws the same numbers. Rounding keeps an order, so the extremes of an hour are rounded once.
    """
    (whole, volatility), (_, decimals, step) = day, _scale(pair)
    prices = _path(day, decimals, random)
    edges = _edges(round(whole.volume / step), [_exponential(random) for _ in range(MINUTES)])
    wick, exp = volatility / math.sqrt(MINUTES) / 2, math.exp
    for first in range(0, MINUTES, 60):
        high, low = 0.0, math.inf
        for open_, close in pairwise(prices[first : first + 61]):
            high = max(high, max(open_, close) * exp(wick * _exponential(random)))
            low = min(low, min(open_, close) * exp(-wick * _exponential(random)))
        yield Candle(
            open_time=whole.open_time + first * Interval.MINUTE_1.length,
            open=prices[first],
            high=min(round(high, decimals), whole.high),
            low=max(round(low, decimals), whole.low),
            close=prices[first + 60],
            volume=(edges[first + 60] - edges[first]) * step,
        )


def _path(day: Day, decimals: int, random: Random) -> list[float]:
    """Return the prices at the edges of the minutes, from open to close. They touch high and low and stay within."""
    candle, volatility = day
    extremes = [candle.high, candle.low]
    if random.random() < 0.5:
        extremes.reverse()
    minutes = [first + int(random.random() * (end - first)) for first, end in EXTREMES]
    knots = [(0, candle.open), *zip(minutes, extremes, strict=True), (MINUTES, candle.close)]
    path = [candle.open]
    for (start, before), (end, after) in pairwise(knots):
        bridge = _bridge(random, (math.log(before), math.log(after)), end - start, volatility / math.sqrt(MINUTES))
        prices = (_folded(math.exp(log_price), candle.low, candle.high) for log_price in bridge)
        path += [*(round(price, decimals) for price in prices), after]
    return path


def _bridge(random: Random, ends: tuple[float, float], steps: int, deviation: float) -> list[float]:
    """Return a random walk of `steps` steps between `ends`, without the ends."""
    walk = list(accumulate(deviation * _normal(random) for _ in range(steps)))
    slope = (ends[1] - ends[0] - walk[-1]) / steps
    return [ends[0] + walk[step - 1] + step * slope for step in range(1, steps)]


def _folded(price: float, low: float, high: float) -> float:
    """Reflect a price outside the range back into it."""
    if price > high:
        return max(low, high - (price - high))
    return min(high, low + (low - price)) if price < low else price


def _edges(total: int, weights: Sequence[float]) -> list[int]:
    """Divide a whole number by weight into whole numbers with the same sum; return what comes before and after each."""
    scale = total / math.fsum(weights)  # a plain sum rounds differently from one Python to the next
    edges = [0, *(min(total, round(scale * weight)) for weight in accumulate(weights))]
    edges[-1] = total
    return edges


def _normal(random: Random) -> float:
    """Return a standard normal number (Box and Muller, 1958)."""
    return math.sqrt(2 * _exponential(random)) * math.cos(2 * math.pi * random.random())


def _exponential(random: Random) -> float:
    return -math.log(1 - random.random())
