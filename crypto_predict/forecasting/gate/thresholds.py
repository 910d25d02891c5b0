"""The thresholds of the release gate, each with its reason."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_type_hints

from crypto_predict.errors import InvalidValue


@dataclass(frozen=True, slots=True)
class GateThresholds:
    """What the gate allows. The variable ``GATE_`` and a name overrides each: ``GATE_STALEST_HOURS=72``.

    "On Binance" refers to the daily candles of BTC, ETH, BNB and LTC in USDT from 2017 to June 2025, with every listing
    day, outage and crash in them; all of it must pass. Distances between prices are of their natural logarithm.
    """

    stalest_hours: float = 48  # since the newest close: one missing day stays below it at any hour, two never do
    # The share of missing candles. Outages cost an exchange a few days in years; one candle may always be missing.
    most_missing: float = 0.01
    longest_gap: int = 2  # missing candles in a row: prices during a longer gap are unknown; on Binance none
    # From the first opening to the last close. A shorter backtest cannot judge forecasts of a month. If fewer days were
    # requested, nine tenths of those are enough.
    least_days: float = 180
    # Equal closes in a row. On Binance 2. A coin whose tick is 1 % of its price repeats its close on one day in ten,
    # so that 7 in a row are one day in a million; a stablecoin may need more.
    most_equal_closes: int = 6
    most_frozen: int = 2  # candles in a row, equal in open, high, low and close: no live market repeats even one
    # Smaller moves, as a share of the median daily move, do not count: where a feed hangs, only rounding is left.
    least_move: float = 0.02
    # Days in a row without such a move. On Binance 2 over the whole history, 4 against the median of the wildest half
    # year. Where a tick is larger than such a move these are equal closes, which are limited above.
    most_still: int = 6
    least_bend: float = 0.05  # two moves are alike if they differ by less than this share of the median daily move
    # Moves in a row that are alike. On Binance 4; a gap filled in along a line or a curve of constant growth has one
    # more than days were missing. A coin whose tick is 1 % of its price has 7 alike within five years in two cases of a
    # hundred, and more than 9 in none of two thousand.
    most_straight: int = 10
    # The share of days with the same close as the day before. On Binance 0.3 %, with a tick of 1 % a tenth; a market
    # that rests at weekends and is filled up has 28 %.
    most_unchanged: float = 0.2
    most_copies: int = 2  # candles equal to an earlier one in all prices and in a volume above 0; on Binance none
    # How far the range of one day may miss the close of the day before. On Binance 0.7 %, March 2020 included: a crash
    # passes every price on its way, while a spliced, shuffled or rescaled series and a bad tick do not. The margin is
    # for venues with few trades.
    widest_break: float = 0.1
    # Days out of ten whose range misses the close of the day before by more than 1 %. On Binance none; an outage at
    # midnight makes one, swapped rows make one each.
    most_torn: int = 2
    widest_open: float = 0.25  # from the last trade of a day to the first one of the next; on Binance 4.4 %
    # The median distance from a close to the next open, in units of the median distance from open to close, over the
    # whole history and over any 30 days of it. On Binance 3 % over half a year and more, and 20 % over 30 days; prices
    # that are reversed, shuffled or in each other's columns have 100 % and more.
    most_detached: float = 0.5
    # The highest price of one day over its lowest, unless the volume confirms the trades. On Binance 3.6 on BNB's first
    # day and 2.3 on any other; a tick in the wrong unit has 10 or 100.
    largest_factor: float = 8
    # A real wick trades through the order book, and downwards: a wider range is accepted at this multiple of the median
    # volume of the 30 days before. One day in thirty on Binance has as much.
    wick_turnover: float = 3
    # The share by which the last close may differ from that of another exchange. Dollars and Tether differ by less, and
    # so do thin venues at midnight; another unit, another pair or an old price differs by more.
    most_apart: float = 0.02
    least_coverage: float = 0.7  # the share of outcomes inside the 80 % interval, out of sample, at each horizon
    most_coverage: float = 0.9
    bad_luck: float = 0.001  # probability of refusing a calibrated interval by bad luck, at each horizon
    worse_p: float = 0.01  # probability of refusing a model as good as the one it replaces, over all horizons
    worse_by: float = 0.01  # share by which the mean loss must have grown: less does not matter, however significant
    least_common: int = 26  # weekly cutoffs at which both models were scored: one crash decides a mean of fewer

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "GateThresholds":
        """Read ``GATE_STALEST_HOURS`` and so on; an empty value counts as absent.

        Raises:
            InvalidValue: A value is not a number, or below zero.
        """
        values: dict[str, Any] = {}
        for name, kind in get_type_hints(cls).items():
            variable, whole = f"GATE_{name.upper()}", "whole " if kind is int else ""
            if text := environ.get(variable):
                try:
                    value = float(text)
                except ValueError:
                    value = math.nan
                if not 0 <= value < math.inf or (whole and not value.is_integer()):
                    raise InvalidValue(variable, text, f"a {whole}number from 0 up")
                values[name] = kind(value)
        return cls(**values)

    def as_numbers(self) -> dict[str, float]:
        """Return every threshold by its name, for the model card."""
        return {name: float(value) for name, value in asdict(self).items()}
