"""What every source of history can do."""

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

from crypto_predict.market import Candle, Interval, Pair, Span


class Source(Protocol):
    """A source of candles: an exchange, a file, a simulation.

    A source gives what it has and judges nothing: gaps, repetitions and impossible prices are `history`'s to find, and
    what a source has repaired cannot be found. What it may not do is hang, loop for ever, or raise another library's
    error.
    """

    @property
    def name(self) -> str:
        """As written in ``--source`` and on the model card: ``alpaca``, ``file:prices.csv``, ``simulated``."""
        ...

    @property
    def simulated(self) -> bool:
        """Whether the prices are invented."""
        ...

    def end(self, pair: Pair, interval: Interval, limit: datetime) -> datetime:
        """The close of the newest candle that can exist here, at or before `limit` (UTC).

        For a live exchange that is `limit` rounded down to the interval; for a file, the close of its newest row.

        Raises:
            SourceError: The source cannot be read.
            UnusableHistory: The source holds nothing that can be read as candles.
        """
        ...

    def candles(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Candle]:
        """Every candle the source has whose opening lies in `span`; those that open later may follow.

        An exchange gives them page by page in ascending order, each opening once: pages overlap by nature, and the last
        copy wins. A file gives its rows as they stand.

        Raises:
            SourceError: The source cannot be reached, or gave something that is not its format, after every retry.
            UnusableHistory: The source holds nothing that can be read as candles.
        """
        ...
