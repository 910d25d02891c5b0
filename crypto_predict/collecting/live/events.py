"""What happens while a collection runs; `collector` passes it on to the parts that it concerns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crypto_predict.market import Candle, SeriesKey


@dataclass(frozen=True, slots=True)
class Stored:
    """Candles are in the database now. Published in the thread that has stored them."""

    series: SeriesKey
    candles: Sequence[Candle]
    changed: int  # of these candles: they were new to the database, or differ from what it had
    by_stream: bool


@dataclass(frozen=True, slots=True)
class TailMissing:
    """The newest candles may be missing. Published in the event loop."""

    series: SeriesKey | None = None  # None: of every series, since the database was away or candles were dropped


Event = Stored | TailMissing
Publish = Callable[[Event], None]  # the receivers do not wait
