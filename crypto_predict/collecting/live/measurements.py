"""What a live collector measures of itself, as one value that is consistent at one instant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from crypto_predict.market import Pair, SeriesKey
from crypto_predict.market.collected import CollectedSeries, StreamState
from crypto_predict.wording import counted

LAGGING = 300.0  # seconds behind, from which a stream counts as not ready
AWAY = 120.0  # seconds without the database, from which the collector counts as not ready


@dataclass(frozen=True, slots=True)
class SeriesFigures:
    """One series that is followed."""

    stored: CollectedSeries  # as of the last look at the database, which is at most 20 s old while it answers
    lag: float | None  # seconds from the newest stored close to the newest that can exist; None before the first
    streamed: int = 0  # candles of the stream that were stored since the start
    fetched: int = 0  # candles of REST that were new or changed since the start
    rejected: int = 0  # rows that no market can have made, since the start

    @property
    def key(self) -> SeriesKey:
        """The key of the series."""
        return self.stored.series


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """The stream of one source."""

    source: str
    state: StreamState
    since: datetime  # UTC, when the state began
    reason: str  # why it is not connected; empty otherwise
    pairs: int
    lag: float | None  # seconds, that of the pair with the newest candle: one pair may be quiet; None before the first
    reconnects: int = 0  # connections after an interruption
    late_ticks: int = 0  # which came after their candle was saved
    dropped_ticks: int = 0  # whose price or time no market has

    @property
    def fault(self) -> str | None:
        """Why the stream is not ready; None if it is."""
        if self.lag is not None and self.lag <= LAGGING:
            return None
        behind = "no candle is stored yet" if self.lag is None else f"the newest candle is {self.lag:.0f} s behind"
        stream = f"{self.state.value} since {self.since:%Y-%m-%d %H:%M:%S} UTC"
        return f"{self.source}: {behind}; its stream is {stream}{f': {self.reason}' if self.reason else ''}"


@dataclass(frozen=True, slots=True)
class SeriesForecasts:
    """The minute forecasts of one series."""

    lag: float | None  # seconds from the cutoff of the newest one to the newest close that can exist; None before it
    made: int = 0  # that were stored since the start
    fits: int = 0  # of their coefficients, since the start
    rebuilds: int = 0  # of their state, for candles that came late or were revised, since the start


@dataclass(frozen=True, slots=True)
class ForecastFigures:
    """The minute forecasts of all pairs."""

    step_seconds: float  # that the newest step took: to score, forecast and store all pairs whose candles had come
    fit_seconds: float  # of all fits since the start
    series: Mapping[SeriesKey, SeriesForecasts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Figures:
    """The whole collector."""

    database_away: float  # seconds since the first failed attempt to store something; 0 after one that succeeded
    dropped: int  # candles and quotes that were dropped while too many waited for the database
    waiting: Mapping[tuple[str, Pair], int] = field(default_factory=dict)  # candles and quotes, by source and pair
    streams: Sequence[StreamFigures] = ()
    series: Sequence[SeriesFigures] = ()
    forecasts: ForecastFigures | None = None  # None: forecasts are not made

    @property
    def faults(self) -> list[str]:
        """Why the collector is not ready: all reasons; none if it is."""
        causes = []
        if self.database_away > AWAY:
            waiting = counted(sum(self.waiting.values()), "row")
            causes.append(f"the database has been away for {self.database_away:.0f} s; {waiting} wait for it")
        if not self.series:
            causes.append("no pair is followed yet")
        return [*causes, *(fault for stream in self.streams if (fault := stream.fault))]
