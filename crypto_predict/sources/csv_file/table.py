"""Find the table in a file: where it begins, what separates its fields, and which of them is the time and so on.

The header is the first line that names columns of a table of prices. What stands before it is a banner: an address, a
title, ``sep=;``. A table without a header begins with its first row.

Names are compared in lower case without accents, with one underscore for whatever is not a letter or a digit: ``Open
Time`` is ``open_time``, ``Volume (BTC)`` is ``volume_btc``, ``Eröffnung`` is ``eroffnung``. The first group of `_NAMES`
with a name in the header is the column. Further columns are ignored, ``Adj Close`` among them.

yfinance writes a header of three lines, read as one: ``Price,Close,High,Low,Open,Volume``, then ``Ticker`` and the
ticker of each column, then the name of the time column alone. All columns must be of one ticker.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import chain, islice

from crypto_predict.sources.csv_file.lines import BadRow, Lines, Unreadable, at_line, fields_of
from crypto_predict.sources.csv_file.notations import DayOrder, decimal_mark, instant, number

PRICES = ("open", "high", "low", "close")
_INDEX = "(index)"  # a first column without a name, as pandas writes its index
_MILLISECONDS = frozenset({"time_ms", "mts"})
_SNAPSHOT = "snapped_at"  # CoinGecko: the price at that instant
_QUOTE_VOLUMES = frozenset({"volume_currency", "volume_quote"})
_NAMES: dict[str, list[Set[str]]] = {  # English, German, Polish, French, Spanish
    "time": [  # the opening
        {"open_time", "opentime", "time_open", "timeopen", "opening_time", "start", "start_time"},
        {"unix", "unix_time", "unix_timestamp", "epoch", "mts"},
        {"time", "time_ms", "date", "datetime", "date_time", "timestamp", "gmt_time", "date_utc"},
        {_SNAPSHOT, "observation_date", "day", "datum", "tag", "data", "fecha"},
        {_INDEX},
    ],
    "open": [{"open", "o", "open_price", "erster", "eroffnung", "eroffn", "otwarcie", "ouv", "ouverture", "apertura"}],
    "high": [{"high", "h", "high_price", "hoch", "najwyzszy", "plus_haut", "max", "maximo"}],
    "low": [{"low", "l", "low_price", "tief", "najnizszy", "plus_bas", "min", "minimo"}],
    "close": [
        {"close", "c", "close_price", "close_last", "close_close_price_adjusted_for_splits"},
        {"schluss", "schlusskurs", "zamkniecie", "cloture", "cierre"},
        {"price", "last", "market_price", "zuletzt", "kurs", "dernier", "ultimo"},
    ],
    "volume": [  # else `volume_btc` for a base currency BTC, else what begins with `volume_`
        {"volume", "vol", "v", "volumen", "wolumen"},
        {"volumefrom", "total_volume"},
    ],
}
_WITHOUT_HEADER = {  # number of fields: what follows the time and the prices
    5: (),
    6: ("volume",),
    7: ("volume",),  # then the trades: Kraken
    12: ("volume",),  # then the close time, other volumes and trades: Binance
}
_CLOCK = re.compile(r"\d{1,2}:\d\d.*|\d{4}(\d\d)?", re.ASCII)
_DELIMITERS = ";\t|,"  # of two that are as frequent, a comma separates decimals
_MOST_BANNER = 20  # lines
_MOST_FURTHER = 2  # lines of a header after its first
_SAMPLE = 20  # rows of a table without a header
_BITFINEX = ("open", "close", "high", "low")


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table, and the assumptions made to find them."""

    header: Sequence[str]  # empty if there is none
    width: int  # fields in a row
    places: Mapping[str, int]  # of time, open, high, low, close and volume in a row, in this order; some may be missing
    clock: int | None  # the place of the time of day, if it is a column of its own
    in_milliseconds: bool  # the times, by the name of their column
    is_snapshot: bool  # the time is that of the price: midnight ends a day
    notices: tuple[str, ...]

    def cells(self, fields: Sequence[str]) -> list[str]:
        """Return what one row says at each of the `places`, the time with the time of day; raise `BadRow` if torn."""
        if len(fields) != self.width and len(fields := _without_empty_end(fields, self.width)) != self.width:
            raise BadRow(f"{len(fields)} fields, the header has {self.width}")
        cells = [fields[place] for place in self.places.values()]
        if self.clock is not None and _CLOCK.fullmatch(fields[self.clock]):
            cells[0] = f"{cells[0]} {fields[self.clock]}"
        return cells


def _columns(header: Sequence[str], base: str | None) -> Columns:
    """Find the columns in a header, or raise `BadRow` with all faults; `base` is the base currency."""
    names = _names(_without_empty_end(header))
    positions = {column: _places(names, groups) for column, groups in _NAMES.items()}
    clock = None
    if sorted(names[place] for place in positions["time"]) == ["date", "time"]:
        clock, positions["time"] = names.index("time"), [names.index("date")]
    others = {name for name in names if name.startswith("volume_")} - _QUOTE_VOLUMES
    positions["volume"] = positions["volume"] or _places(names, [{f"volume_{(base or '').lower()}"}, others])
    if len(names) == 2 and len(positions["time"]) == 1 and not any(positions[price] for price in PRICES):
        positions["close"] = [1 - positions["time"][0]]  # named after the series, as by FRED
    if faults := _header_faults(header, positions):
        shown = [name[:20] for name in header[: len(names)]][:20]
        raise BadRow(f"{'; '.join(faults)}; the columns found are {shown}")
    places = {column: fields[0] for column, fields in positions.items() if fields}
    named = {column: names[place] for column, place in places.items()}
    written = {column: repr(header[place][:40]) for column, place in places.items()}
    notices = []
    if clock is not None:
        notices.append(f"{written['time']} and {header[clock][:40]!r} are the opening in UTC")
    elif named["time"] == _SNAPSHOT:
        notices.append(f"the price at a midnight (UTC) of {written['time']} is the close of the day before")
    elif named["time"] not in {"time", "time_ms"}:
        notices.append(f"{written['time']} is the opening in UTC")
    if named["close"] not in {"close", "c"}:
        notices.append(f"{written['close']} is the close")
    if named.get("volume", "volume") != "volume":
        notices.append(f"{written['volume']} is the volume")
    in_milliseconds, is_snapshot = named["time"] in _MILLISECONDS, named["time"] == _SNAPSHOT
    return Columns(header, len(names), places, clock, in_milliseconds, is_snapshot, tuple(notices))


def find_table(lines: Lines, base: str | None) -> tuple[Columns, str, Lines]:
    """Return the columns of the table that begins in the first lines of a file, what separates them, and its rows.

    Raise `Unreadable` if there is none, or if columns are missing or ambiguous. `base` is the base currency.
    """
    start = list(islice(lines, _MOST_BANNER + _SAMPLE))
    if not start:
        raise Unreadable("it is empty")
    for index, (line, text) in enumerate(start[: _MOST_BANNER + 1]):
        delimiter = max(_DELIMITERS, key=text.count)
        with at_line(line):
            fields = fields_of(text, delimiter)
        if _is_header(fields):
            rows = chain(start[index + 1 :], lines)
            columns = _with_header(line, fields, delimiter, rows, base)
        elif _is_row(fields):
            _check_banner(start[:index], delimiter, len(fields), base)
            columns, rows = _without_header(start[index:], delimiter), chain(start[index:], lines)
        else:
            continue
        banner = (f"line {line}, {text.strip()[:40]!r}, is not part of the table" for line, text in start[:index])
        return replace(columns, notices=(*banner, *columns.notices)), delimiter, rows
    line, text = start[0]
    _check_banner(start[:1], max(_DELIMITERS, key=text.count), None, base)
    raise Unreadable(f"line {line}: it is neither a header nor a row of prices")


def _check_banner(banner: Iterable[tuple[int, str]], delimiter: str, width: int | None, base: str | None) -> None:
    """Raise `Unreadable` if a line is the header of `width` columns, or of any: its names are in another language."""
    for line, text in banner:
        with at_line(line):
            names = fields_of(text, delimiter)
            if (width is None or len(names) == width) and not all(name.isdecimal() for name in names):
                _columns(names, base)


def _with_header(line: int, header: list[str], delimiter: str, rows: Lines, base: str | None) -> Columns:
    """Return the columns of a header, whose further lines are taken from the rows."""
    further = line
    while _continues(header) and further < line + _MOST_FURTHER and (following := next(rows, None)):
        further, text = following
        with at_line(further):
            header = _joined(header, fields_of(text, delimiter))
    with at_line(line):
        return _columns(header, base)


def _without_header(rows: Sequence[tuple[int, str]], delimiter: str) -> Columns:
    """Return the columns with the first order of prices in which every row of a sample is possible.

    The second field may be the time of day, as MetaTrader writes it.
    """
    sample = []
    for line, text in rows:
        with at_line(line):
            sample.append(fields_of(text, delimiter))
    width, clock = len(sample[0]), ":" in sample[0][1]
    mark, _ = decimal_mark((field for fields in sample for field in fields[1 + clock :]), delimiter)
    for prices in (PRICES, _BITFINEX) if width - clock in _WITHOUT_HEADER else ():
        names = [*prices, *_WITHOUT_HEADER[width - clock]]
        places = {"time": 0, **{name: 1 + clock + names.index(name) for name in (*PRICES, *names[4:])}}
        if all(_is_possible(fields, places, mark) for fields in sample if len(fields) == width):
            notice = f"without a header the columns are {', '.join(['time', *names])}"
            return Columns((), width, places, 1 if clock else None, False, False, (notice,))
    advice = "write a first line such as time,open,high,low,close,volume"
    raise Unreadable(f"line {rows[0][0]}: no header names these {width} columns: {advice}")


def _is_possible(fields: Sequence[str], places: Mapping[str, int], mark: str) -> bool:
    first, high, low, close = (_value(fields[places[price]], mark) for price in PRICES)
    return not (low > min(first, close) or max(first, close) > high)  # NaN does not contradict


def _is_row(fields: Sequence[str]) -> bool:
    """Return whether the fields begin with a time, and a number follows."""
    try:
        instant(fields[0], DayOrder.DAY_FIRST if "." in fields[0] else DayOrder.MONTH_FIRST)
    except ValueError:
        return False
    return any(_value(field, mark) > 0 for field in fields[1:3] for mark in ".,")


def _value(text: str, mark: str) -> float:
    try:
        return number(text, mark)
    except ValueError:
        return math.nan


def _is_header(fields: Sequence[str]) -> bool:
    """Return whether a line seems to be the header of a table of prices, perhaps an incomplete one."""
    names = _names(_without_empty_end(fields))
    times = [group for group in _NAMES["time"] if group != {_INDEX}]
    named = [bool(_places(names, groups)) for groups in (times, *(_NAMES[price] for price in PRICES))]
    return sum(named) > 1 or (named[0] and len(names) == 2) or _continues(fields)


def _continues(header: Sequence[str]) -> bool:
    """Return whether the next line belongs to the header, as in files from yfinance."""
    return header[:1] == ["Price"] and len(header) > 1 and not _places(_names(header), _NAMES["time"])


def _joined(header: Sequence[str], fields: Sequence[str]) -> list[str]:
    """Return a header that continues, together with its next line; raise `BadRow` if that names several tickers."""
    first, others = fields[:1], fields[1:]
    if first == ["Ticker"] and len(tickers := list(dict.fromkeys(others))) > 1:
        shown = ", ".join(ticker[:20] for ticker in tickers[:5])
        raise BadRow(f"{len(tickers)} tickers, where a file must hold one: {shown}{', ...' if tickers[5:] else ''}")
    return [*(header[:1] if any(others) else first), *header[1:]]


def _header_faults(header: Sequence[str], positions: dict[str, list[int]]) -> list[str]:
    missing = [column for column, places in positions.items() if not places and column != "volume"]
    if missing == ["open", "high", "low"]:  # a table of closes
        missing = []
    faults = [f"missing columns: {', '.join(missing)}"] if missing else []
    for column, places in positions.items():
        if len(places) > 1:
            names = ", ".join(header[place][:20] for place in places[:5])
            faults.append(f"several columns of {column}: {names} (rename all but one)")
    return faults


def _names(header: Sequence[str]) -> list[str]:
    plain = (unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode() for name in header)
    names = [re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") for name in plain]
    return [names[0] or _INDEX, *names[1:]] if names else []


def _places(names: Sequence[str], groups: Iterable[Set[str]]) -> list[int]:
    """Return every column of the first group that has any: exactly one in a valid header."""
    for group in groups:
        if places := [place for place, name in enumerate(names) if name in group]:
            return places
    return []


def _without_empty_end(fields: Sequence[str], width: int = 1) -> Sequence[str]:
    """Return the fields without the empty ones at the end, but at least `width`."""
    end = len(fields)
    while end > width and not fields[end - 1]:
        end -= 1
    return fields[:end]
