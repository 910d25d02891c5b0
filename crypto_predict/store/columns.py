"""How the values of the market stand in columns: times as whole numbers, a series as its number in `symbols`."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, ScalarSelect, bindparam, select

from crypto_predict.market import EPOCH, SeriesKey
from crypto_predict.store.tables import symbols

# The number of a series, for queries that are built once: to build one takes longer than to execute it.
THE_SERIES = (
    select(symbols.c.id)
    .where(symbols.c.source == bindparam("source"))
    .where(symbols.c.pair == bindparam("pair"), symbols.c.interval == bindparam("interval"))
    .scalar_subquery()
)

# Since 1970, to the years 2 and 9999: arithmetic with instants beyond them may leave the calendar.
LEAST_SECONDS, MOST_SECONDS = -62_104_060_800, 253_370_764_800

_SECOND, _MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)


def instant(seconds: int) -> datetime:
    """Return the time that is `seconds` after 1970.

    Raises:
        TypeError, ValueError: It is not a number, or lies before the year 2 or after 9998.
    """
    if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        raise ValueError(f"{seconds} is not a time: expected seconds since 1970, up to the year 9998")
    return datetime.fromtimestamp(seconds, UTC)


def instant_us(microseconds: int) -> datetime:
    """Return the time that is `microseconds` after 1970.

    Raises:
        TypeError, ValueError: As for `instant`.
    """
    if not LEAST_SECONDS <= microseconds / 1_000_000 <= MOST_SECONDS:
        raise ValueError(f"{microseconds} is not a time: expected microseconds since 1970, up to the year 9998")
    return EPOCH + timedelta(microseconds=microseconds)


def seconds_up(time: datetime) -> int:
    """Return the whole seconds since 1970, rounded up: an opening in whole seconds is before both or before neither."""
    return -((EPOCH - time) // _SECOND)


def microseconds(time: datetime) -> int:
    """Return the microseconds since 1970."""
    return (time - EPOCH) // _MICROSECOND


def names(series: SeriesKey) -> ColumnElement[bool]:
    """Return the condition that a row of `symbols` is that of a series."""
    return (
        (symbols.c.source == series.source)
        & (symbols.c.pair == str(series.pair))
        & (symbols.c.interval == series.interval.seconds)
    )


def parameters(series: SeriesKey) -> dict[str, object]:
    """Return the parameters of `THE_SERIES`."""
    return {"source": series.source, "pair": str(series.pair), "interval": series.interval.seconds}


def series_id(series: SeriesKey) -> ScalarSelect[int]:
    """Return the query of the number of a series, as a part of another one; NULL if the series does not exist."""
    return select(symbols.c.id).where(names(series)).scalar_subquery()
