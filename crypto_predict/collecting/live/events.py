"""What happens while a collection runs, and who hears of it."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from crypto_predict.market import Candle, SeriesKey


@dataclass(frozen=True, slots=True)
class Stored:
    """Candles are in the database now. Published in the thread that has stored them."""

    series: SeriesKey
    candles: Sequence[Candle]
    changed: int  # of these candles: they were new to the database, or differ from what it had
    by_stream: bool


@dataclass(frozen=True, slots=True)
class Missed:
    """A stream was connected and did not send candles that REST has, with volume. Published in any thread."""

    series: SeriesKey
    openings: Sequence[datetime]  # UTC


@dataclass(frozen=True, slots=True)
class TailMissing:
    """A stream may lack the newest candles of a series. Published in the event loop."""

    series: SeriesKey


@dataclass(frozen=True, slots=True)
class DatabaseBack:
    """The database can be used again, or candles were dropped. Published in the event loop."""


Event = Stored | Missed | TailMissing | DatabaseBack
Publish = Callable[[Event], None]
Kind = TypeVar("Kind", Stored, Missed, TailMissing, DatabaseBack)


class Events:
    """Calls whoever hears of an event, in the order of the table, and in the thread that publishes it."""

    def __init__(self) -> None:
        self._hearers: dict[type[Event], list[Callable[[Any], object]]] = defaultdict(list)

    def hear(self, kind: type[Kind], *hearers: Callable[[Kind], object]) -> None:
        """Call these from now on. They do not wait."""
        self._hearers[kind] += hearers

    def publish(self, event: Event) -> None:
        """Pass an event on."""
        for hear in self._hearers[type(event)]:
            hear(event)
