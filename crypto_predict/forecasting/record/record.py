"""A ledger and the figures of its forecasts: entries are appended, and the scorecard follows from them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from crypto_predict.baked.entries import DAYS, RESTORE, EntryFault, Outcome, Release
from crypto_predict.baked.evaluation import Evaluator
from crypto_predict.baked.ledger import MOST_BYTES, Ledger
from crypto_predict.baked.schema import Card, PairForecast
from crypto_predict.baked.scores import LiveRecord, Scorecard
from crypto_predict.errors import InvalidValue
from crypto_predict.forecasting.record.tally import Tally
from crypto_predict.history import History
from crypto_predict.market import DAY, Interval, Pair

ROOM = 2**24  # bytes that one more training may append
MOST_PENDING = 500_000  # forecasts without an outcome; a pair that is released four times a day has 3,600
MOST_OUTCOMES = 500_000  # of all pairs; fifty years of one have 18,000
MOST_TALLIES = 500  # pairs; one with real and with invented prices counts twice


@dataclass(slots=True)
class Record:
    """A ledger, and what its entries amount to. In memory are the figures, outcomes, and forecasts without one."""

    ledger: Ledger = field(default_factory=Ledger)
    _tallies: dict[tuple[Pair, bool], Tally] = field(default_factory=dict, compare=False, repr=False)  # bool: simulated

    @classmethod
    def read(cls, path: Path, heads: Collection[str] = ()) -> Record:
        """Read a ledger file without trusting it.

        Args:
            path: The file.
            heads: As for `Ledger.read`.

        Raises:
            BrokenLedger: As for `Ledger.read`, or it has too many pairs, outcomes or forecasts without one.
        """
        record, entries = cls(), 0

        def visit(content: Release | Outcome) -> None:
            nonlocal entries
            record._count(content)
            entries += 1
            if entries % 1000 == 0:
                record._check_memory()

        record.ledger = Ledger.read(path, heads, visit=visit)
        return record

    def settle(self, histories: Iterable[History]) -> None:
        """Append the outcomes of all target days that have a candle in one of `histories` and no outcome yet.

        A day without a candle stays pending. A recorded outcome stays, even if a later history differs.

        Args:
            histories: Daily ones. Simulated ones settle only forecasts of simulated prices, and real ones of real.

        Raises:
            InvalidValue: A history is not daily.
        """
        for history in histories:
            if history.interval is not Interval.DAY_1:
                raise InvalidValue(
                    "interval", history.interval.length, "that of daily candles, whose closes are forecast"
                )
            tally = self._tallies.get((history.pair, history.simulated))
            awaited = frozenset(tally.awaited) if tally else frozenset()
            for candle in history.candles:
                if (day := candle.open_time.date()) in awaited:
                    self._append(Outcome(history.pair, history.simulated, day, candle.close, history.source))

    def release(self, card: Card, forecasts: Mapping[Pair, PairForecast]) -> None:
        """Append the forecasts of a model that is about to be released: one entry for each pair.

        A release that is on record already, as after the same training, is not appended again.

        Args:
            card: The model's card; its `trained_at` may equal that of earlier releases.
            forecasts: As they will be baked.

        Raises:
            InvalidValue: The model was trained before the newest release on record, or the ledger is full.
            UnusableHistory: A forecast is outside the range of prices.
        """
        self.check_follows(card.trained_at)
        for release in [_release(card, pair, forecast) for pair, forecast in forecasts.items()]:
            if release not in self.ledger.newest:
                self._append(release)

    def check_follows(self, trained_at: datetime) -> None:
        """Check that a release of this training time (UTC) can follow those on record.

        Raises:
            InvalidValue: It lies before the newest release, or the ledger is full.
        """
        if self.ledger.newest and trained_at < (newest := self.ledger.newest[-1].made_at):
            expected = f"at or after the ledger's newest release, {newest}: check clock, SOURCE_DATE_EPOCH"
            raise InvalidValue("training time", trained_at, expected)
        pending = sum(tally.count_pending() for tally in self._tallies.values())
        if self.ledger.size > MOST_BYTES - ROOM or pending > MOST_PENDING * 0.9:
            size = f"{self.ledger.size:,} bytes with {pending:,} forecasts pending"
            raise InvalidValue("ledger", size, "small enough for another release: begin a new one, without --ledger")

    def scorecard(self) -> Scorecard:
        """Return the live record of every pair, in the order of their first releases."""
        records: dict[bool, dict[Pair, LiveRecord]] = {False: {}, True: {}}
        for (pair, simulated), tally in self._tallies.items():
            if (record := tally.record()) is not None:
                records[simulated][pair] = record
        return Scorecard(self.ledger.entries, self.ledger.head, pairs=records[False], simulated=records[True])

    def _append(self, content: Release | Outcome) -> None:
        self.ledger.append(content)
        self._count(content)

    def _count(self, content: Release | Outcome) -> None:
        tally = self._tallies.setdefault((content.pair, content.simulated), Tally())
        if len(self._tallies) > MOST_TALLIES:
            raise EntryFault(f"{content.pair} is one pair more than a ledger can have ({MOST_TALLIES}); {RESTORE}")
        tally.add(content)

    def _check_memory(self) -> None:
        tallies = self._tallies.values()
        if (pending := sum(tally.count_pending() for tally in tallies)) > MOST_PENDING:
            raise EntryFault(f"{pending:,} forecasts have no outcome up to here; at most {MOST_PENDING:,} are allowed")
        if (outcomes := sum(tally.outcomes for tally in tallies)) > MOST_OUTCOMES:
            raise EntryFault(f"it is outcome {outcomes:,}; at most {MOST_OUTCOMES:,} are allowed")


def _release(card: Card, pair: Pair, forecast: PairForecast) -> Release:
    """Return the release entry of one pair, with the same predictions as the server's."""
    evaluator = Evaluator(forecast)
    predictions = [evaluator.at_close(forecast.last + horizon * DAY) for horizon in range(1, DAYS + 1)]
    return Release(
        pair=pair,
        simulated=card.pairs[pair].simulated,
        source=card.pairs[pair].source,
        history_sha256=card.pairs[pair].history_sha256,
        made_at=card.trained_at,
        build=card.build,
        anchor=forecast.anchor,
        last=forecast.last,
        prediction=tuple(prediction.price for prediction in predictions),
        low=tuple(prediction.low for prediction in predictions),
        high=tuple(prediction.high for prediction in predictions),
    )
