"""The settings of one run of a command, as frozen dataclasses, and the parsers of their values.

Environments are passed in. `command_line` parses the options; this module needs the standard library only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, fields
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from crypto_predict.errors import InvalidValue
from crypto_predict.market import EPOCH

_DURATION = re.compile(r"([0-9]{1,9})([smhd]?)")
_WEB_ADDRESS = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&*+,;=%-]{1,2000}")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}  # seconds
_LABEL = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+-]{0,99}")
_USER = re.compile(r"//.*@")  # greedy: a password may hold a slash, an @ or a space that should have been encoded
_QUERY = re.compile(r"(://[^\s?]*)\?[^\s\"'<>]+")
_TRUE, _FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"", "0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class GateThresholds:
    """Where the release gate draws its lines. ``GATE_`` and its name moves each: ``GATE_STALEST_HOURS=72``.

    "On Binance" is said of the daily candles of BTC, ETH, BNB and LTC in USDT from 2017 to June 2025: every listing
    day, outage and crash is among them, and all of it must pass. Distances between prices are of their natural
    logarithm.
    """

    # From the newest candle's close to the present. One missing day stays below it at any hour, two never do.
    stalest_hours: float = 48
    # The share of missing candles. Outages cost an exchange a few days in years; one candle may always be missing.
    most_missing: float = 0.01
    # Missing candles in a row. What happened in a longer gap is anybody's guess; on Binance none is missing.
    longest_gap: int = 2
    # From the first opening to the last close. A backtest over less says nothing of a month ahead. Where fewer days
    # were asked for, nine tenths of those will do.
    least_days: float = 180
    # Equal closes in a row. On Binance 2. A coin whose tick is 1 % of its price closes where it did on one day in ten,
    # so that 7 in a row are one day in a million; a stablecoin may need more.
    most_equal_closes: int = 6
    # Candles in a row that are equal in open, high, low and close. No live market repeats even one.
    most_frozen: int = 2
    # A move of less than this share of the median daily move is none. Where a feed hangs, what is left is rounding.
    least_move: float = 0.02
    # Days in a row without such a move. On Binance 2 over the whole history, 4 against the median of the wildest half
    # year. Where a tick is more than such a move these are equal closes, which are bounded already.
    most_still: int = 6
    # Two moves that differ by less than this share of the median daily move are alike.
    least_bend: float = 0.05
    # Moves in a row that are alike, and are moves. On Binance 4; a gap filled in along a line or a curve of constant
    # growth has one more than days were missing. A coin whose tick is 1 % of its price has 7 alike within five years
    # in two cases of a hundred, and more than 9 in none of two thousand.
    most_straight: int = 10
    # The share of days that close where the day before did. On Binance 0.3 %, with a tick of 1 % a tenth; a market that
    # rests at weekends and is filled up has 28 %.
    most_unchanged: float = 0.2
    # Candles equal to an earlier one in all prices and in a volume above 0. On Binance none.
    most_copies: int = 2
    # How far the range of one day may miss the close of the day before, in a market that never closes. On Binance
    # 0.7 %, March 2020 included: a crash passes every price on its way, while a spliced, shuffled or rescaled series
    # and a bad tick do not. The room is for thin venues.
    widest_break: float = 0.1
    # Days out of ten whose range misses the close of the day before by more than 1 %. On Binance none; an outage at
    # midnight makes one, rows that changed places make one for each.
    most_torn: int = 2
    # How far the first trade of a day may be from the last one of the day before. On Binance 4.4 %.
    widest_open: float = 0.25
    # The median distance from a close to the next open, in units of the median distance from open to close, over the
    # whole history and over any 30 days of it. On Binance 3 % over half a year and more, and 20 % over 30 days; prices
    # that are reversed, shuffled or in each other's columns have 100 % and more.
    most_detached: float = 0.5
    # The highest price of one day over its lowest, unless the volume tells that so much was really traded. On Binance
    # 3.6 on BNB's first day and 2.3 on any other; a tick in the wrong unit has 10 or 100.
    largest_factor: float = 8
    # A true wick eats through the order book, and downwards: on a day of so many times the median volume of the 30 days
    # before, a wider range is believed. One day in thirty on Binance has as much.
    wick_turnover: float = 3
    # The share of outcomes inside the 80 % interval, out of sample, at each horizon.
    least_coverage: float = 0.7
    most_coverage: float = 0.9
    # How probable a refusal of a calibrated interval by bad luck may be, at each horizon.
    bad_luck: float = 0.001
    # How probable a refusal of a model may be that is as good as the one it replaces, over all horizons.
    worse_p: float = 0.01
    # By which share the mean loss must have grown. Less concerns nobody, however certain it is.
    worse_by: float = 0.01
    # Cutoffs, one a week, at which both models must have been scored: half a year. One crash decides a mean of fewer.
    least_common: int = 26

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> GateThresholds:
        """Read ``GATE_STALEST_HOURS`` and so on; an empty value counts as absent.

        Raises:
            InvalidValue: One is no number, or below zero.
        """
        given = {field: environ.get(f"GATE_{field.name.upper()}") for field in fields(cls)}
        values: dict[str, Any] = {field.name: _threshold(field, text) for field, text in given.items() if text}
        return cls(**values)

    def as_numbers(self) -> dict[str, float]:
        """Every threshold by its name, for the model card."""
        return {field.name: float(getattr(self, field.name)) for field in fields(self)}


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """How one server is run."""

    model: Path
    host: str
    port: int
    threads: int
    stale_after: timedelta  # a model or a newest price older than this is reported by /fresh
    retrain_every: timedelta  # answers may be cached until the next retrain
    log_level: str  # debug, info, warning or error
    repository_url: str | None = None  # where the project is, which the documentation links to


def file_path(text: str) -> Path:
    """Read the path of a file.

    Raises:
        InvalidValue: It is empty, which `Path` takes for the folder one is in.
    """
    if not text:
        raise InvalidValue("path", text, "the path of a file")
    return Path(text)


def boolean(text: str) -> bool:
    """Read ``1``, ``true``, ``yes``, ``on`` and their opposites."""
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise InvalidValue("flag", text, "true or false")


def whole_number(name: str, least: int, most: int) -> Callable[[str], int]:
    """A reader of whole numbers between `least` and `most`, both included."""

    def read(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text) or not least <= int(text) <= most:
            raise InvalidValue(name, text, f"a whole number from {least} to {most}")
        return int(text)

    return read


def day(text: str) -> date:
    """Read an ISO 8601 date."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidValue("date", text, "an ISO date such as 2025-06-30") from error


def duration(text: str) -> timedelta:
    """Read ``90s``, ``15m``, ``24h``, ``2d`` or a bare number of seconds."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None or int(match[1]) == 0:
        raise InvalidValue("duration", text, "a positive time such as 90s, 15m, 24h or 2d")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def label(name: str, text: str | None) -> str | None:
    """Read the name of a release or a revision, which appears in answers and metrics; None or empty if not set."""
    if text and not _LABEL.fullmatch(text):
        raise InvalidValue(name, text, "a label such as 1.2.3: ASCII letters, digits and . _ + - only, at most 100")
    return text or None


def masked(text: str) -> str:
    """The text without what addresses in it hold before an ``@`` and after a ``?``, where passwords and keys stand."""
    return _QUERY.sub(r"\1?***", _USER.sub("//***@", text))


def web_address(text: str) -> str | None:
    """Read ``https://example.org/project``; None where the text is empty."""
    if not text:
        return None
    if not _WEB_ADDRESS.fullmatch(text):
        raise InvalidValue("address", text, "an address such as https://example.org/project")
    return text


def instant_of_epoch(text: str | None) -> datetime | None:
    """Read ``SOURCE_DATE_EPOCH``: whole seconds since 1970; None or blank where it is not set."""
    if not text or not text.strip():
        return None
    seconds = whole_number("SOURCE_DATE_EPOCH", 0, 253_402_300_799)(text.strip())
    return EPOCH + timedelta(seconds=seconds)


def _threshold(field: Field[Any], text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    whole = field.type == "int"
    if not 0 <= value < math.inf or (whole and not value.is_integer()):
        raise InvalidValue(f"GATE_{field.name.upper()}", text, f"a {'whole ' if whole else ''}number from 0 up")
    return int(value) if whole else value
