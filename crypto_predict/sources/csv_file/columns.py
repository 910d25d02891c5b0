"""Find the columns of a table: by the names that exchanges, data sites and spreadsheets use, or without a header.

Names are compared in lower case without accents, with one underscore for whatever is not a letter or a digit: ``Open
Time`` is ``open_time``, ``Volume (BTC)`` is ``volume_btc``, ``Eröffnung`` is ``eroffnung``. The first group of `_NAMES`
with a name in the header is the column. Further columns are ignored, ``Adj Close`` among them.

yfinance writes a header of three lines, read as one: ``Price,Close,High,Low,Open,Volume``, then ``Ticker`` and the
ticker of each column, then the name of the time column alone. All columns must be of one ticker.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

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
_WITHOUT_HEADER = {  # number of fields: those of the table, in this order
    5: ("time", *PRICES),
    6: ("time", *PRICES, "volume"),
    7: ("time", *PRICES, "volume"),  # then the trades: Kraken
    12: ("time", *PRICES, "volume"),  # then the close time, other volumes and trades: Binance
}
_CLOCK = re.compile(r"\d{1,2}:\d\d.*|\d{4}(\d\d)?", re.ASCII)


class BadRow(Exception):
    """One row is faulty. The message has all reasons; reading goes on."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The index of each value in a row, and the assumptions made to find it."""

    width: int  # fields in a row
    time: int
    clock: int | None  # of the time of day, if it is a column of its own
    prices: tuple[int, ...]  # of open, high, low and close, or of the close alone
    volume: int | None
    in_milliseconds: bool  # the times, by the name of their column
    is_snapshot: bool  # the time is that of the price: midnight ends a day
    notices: tuple[str, ...]

    @classmethod
    def of(cls, header: Sequence[str], base: str | None) -> "Columns":
        """Find the columns in a header; `base` is the base currency.

        Raises:
            BadRow: Columns are missing or ambiguous; all of them at once.
        """
        header = _without_empty_end(header)
        names = _names(header)
        positions = {column: _places(names, groups) for column, groups in _NAMES.items()}
        clock = None
        if sorted(names[place] for place in positions["time"]) == ["date", "time"]:
            clock, positions["time"] = names.index("time"), [names.index("date")]
        others = {name for name in names if name.startswith("volume_")} - _QUOTE_VOLUMES
        positions["volume"] = positions["volume"] or _places(names, [{f"volume_{(base or '').lower()}"}, others])
        if len(names) == 2 and len(positions["time"]) == 1 and not any(positions[price] for price in PRICES):
            positions["close"] = [1 - positions["time"][0]]  # named after the series, as by FRED
        faults = _header_faults(header, positions)
        if faults:
            shown = [name[:20] for name in header[:20]]
            raise BadRow(f"{'; '.join(faults)}; the columns found are {shown}")
        index = {column: places[0] for column, places in positions.items() if places}
        time, volume = index["time"], index.get("volume")
        notices = []
        if clock is not None:
            notices.append(f"{header[time][:40]!r} and {header[clock][:40]!r} are the opening in UTC")
        elif names[time] == _SNAPSHOT:
            notices.append(f"the price at a midnight (UTC) of {header[time][:40]!r} is the close of the day before")
        elif names[time] not in {"time", "time_ms"}:
            notices.append(f"{header[time][:40]!r} is the opening in UTC")
        prices = tuple(index[price] for price in PRICES if price in index)
        if names[index["close"]] not in {"close", "c"}:
            notices.append(f"{header[index['close']][:40]!r} is the close")
        if volume is not None and names[volume] != "volume":
            notices.append(f"{header[volume][:40]!r} is the volume")
        return cls(
            len(names),
            time,
            clock,
            prices,
            volume,
            names[time] in _MILLISECONDS,
            names[time] == _SNAPSHOT,
            tuple(notices),
        )

    @classmethod
    def without_header(cls, width: int, *, clock: bool, high: int) -> "Columns | None":
        """Return the columns of rows without a header; None if so many fields have no usual meaning.

        A `clock` is the second field, as MetaTrader writes it. `high` is the place of the high among the prices: 1
        where the close is last, 2 where it follows the open, as at Bitfinex.
        """
        fields = _WITHOUT_HEADER.get(width - clock)
        if fields is None:
            return None
        start = 1 + clock
        prices = (start, start + high, start + high + 1, start + (3 if high == 1 else 1))
        order = "open, high, low, close" if high == 1 else "open, close, high, low"
        volume = start + 4 if "volume" in fields else None
        notice = f"without a header the columns are time, {order}{'' if volume is None else ', volume'}"
        return cls(width, 0, 1 if clock else None, prices, volume, False, False, (notice,))

    def cells(self, fields: Sequence[str]) -> list[str]:
        """Return what one row says: its time, then its prices, then its volume if the table has it.

        Raises:
            BadRow: The row has more or fewer fields than the header.
        """
        if len(fields) != self.width and len(fields := _without_empty_end(fields, self.width)) != self.width:
            raise BadRow(f"{len(fields)} fields, the header has {self.width}")
        time = fields[self.time]
        if self.clock is not None and _CLOCK.fullmatch(fields[self.clock]):
            time = f"{time} {fields[self.clock]}"
        cells = [time, *(fields[place] for place in self.prices)]
        return cells if self.volume is None else [*cells, fields[self.volume]]


def is_header(fields: Sequence[str]) -> bool:
    """Return whether a line seems to be the header of a table of prices, perhaps an incomplete one."""
    names = _names(_without_empty_end(fields))
    times = [group for group in _NAMES["time"] if group != {_INDEX}]
    named = [bool(_places(names, groups)) for groups in (times, *(_NAMES[price] for price in PRICES))]
    return sum(named) > 1 or (named[0] and len(names) == 2) or continues(fields)


def continues(header: Sequence[str]) -> bool:
    """Return whether the next line belongs to the header, as in files from yfinance."""
    return header[:1] == ["Price"] and len(header) > 1 and not _places(_names(header), _NAMES["time"])


def joined(header: Sequence[str], fields: Sequence[str]) -> list[str]:
    """Return a header that continues, together with its next line.

    Raises:
        BadRow: The line names several tickers.
    """
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
