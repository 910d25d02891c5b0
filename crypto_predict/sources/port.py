"""What every source of history can do."""

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

from crypto_predict.market import Candle, Interval, Pair, Span


class Source(Protocol):
    """A source of candles: an exchange, a file, a simulation.

    A source gives what it has and judges nothing: gaps, repetitions and impossible prices are `history`'s to find. What
    it may not do is hang, loop for ever, or raise another library's error.
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

        For a live exchange that is `limit` rounded down to the interval; for a file, the close of its last row.

        Raises:
            SourceError: The source cannot be read.
            UnusableHistory: The source was read, and has nothing that closes at or before `limit`, or is faulty.
        """
        ...

    def candles(self, pair: Pair, interval: Interval, span: Span) -> Iterator[Candle]:
        """Every candle the source has whose opening lies in `span`, page by page, in ascending order of opening.

        Openings are unique within one call: where a source repeats itself, the last copy wins.

        Raises:
            SourceError: The source cannot be reached, or gave something that is not its format, after every retry.
            UnusableHistory: The source was read, and what it holds is faulty.
        """
        ...
