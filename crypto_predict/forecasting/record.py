"""The record of released forecasts: a ledger, and how its forecasts compare with the prices that followed.

Each forecast with a recorded outcome counts once, even if several releases forecast the same day from the same price.
Four releases a day that forecast thirty days ahead cover each day 120 times, and their errors are far from
independent. So the number of different days is counted, too: it shows how much evidence the other figures rest on.
`live_losses` has their losses, `live_days` the coverage by month, `live_probabilities` those of round prices,
`live_models` the record of each model, `live_hours` that of the hours after the newest price, `live_touches` that of
prices that are touched.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from crypto_predict.baked.distribution import Distribution
from crypto_predict.baked.evaluation import COMBINED, PROPHET, Evaluator
from crypto_predict.baked.extremes import Extremes
from crypto_predict.baked.ledger import (
    DAYS,
    HOURS,
    HOURS_A_DAY,
    MODEL_DAYS,
    MOST_BYTES,
    RESTORE,
    Content,
    EntryFault,
    HourlyOutcome,
    Ledger,
    Outcome,
    Place,
    Release,
)
from crypto_predict.baked.schema import (
    COVERAGE,
    Card,
    LiveForecast,
    LiveMonth,
    LiveRecord,
    LiveScore,
    PairForecast,
    Scorecard,
)
from crypto_predict.baked.touches import DAY_MOVES, HOUR_MOVES, SCORED_DAYS
from crypto_predict.errors import InvalidValue
from crypto_predict.forecasting.live_days import SUMS, LiveDays
from crypto_predict.forecasting.live_hours import LiveHours
from crypto_predict.forecasting.live_losses import Due, losses, scores
from crypto_predict.forecasting.live_models import LiveModels
from crypto_predict.forecasting.live_touches import LiveTouches
from crypto_predict.history import History
from crypto_predict.market import DAY, Interval, Pair
from crypto_predict.market.forecast import LEVELS
from crypto_predict.wording import counted

ROOM = 2**24  # bytes that one more training may append
# Forecasts without an outcome. A pair that is released four times a day has 3,600, and 128 of each model.
MOST_PENDING = 500_000
MOST_OUTCOMES = 500_000  # of all pairs; fifty years of one have 18,000
MOST_TALLIES = 500  # pairs; one with real and with invented prices counts twice
HORIZONS = (1, 3, 7, 14, 30)  # days ahead that are also scored separately
LATEST = 30  # target days shown one by one


@dataclass(slots=True)
class Record:
    """A ledger, and what its entries amount to. In memory are the figures, outcomes, and forecasts without one."""

    ledger: Ledger = field(default_factory=Ledger)
    # by the pair, and whether its prices are simulated
    _tallies: dict[tuple[Pair, bool], "_Tally"] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def read(cls, path: Path, heads: Collection[str] = ()) -> "Record":
        """Read a ledger file without trusting it, as `Ledger.read`.

        Raises:
            BrokenLedger: As there, or it has too many pairs, outcomes or forecasts without one.
        """
        record, entries = cls(), 0

        def visit(content: Content, _: Place) -> None:
            nonlocal entries
            record._count(content)
            entries += 1
            if entries % 1000 == 0:
                record._check_memory()

        record.ledger = Ledger.read(path, heads, visit=visit)
        return record

    def settle(self, histories: Iterable[History]) -> None:
        """Append the outcomes of all target days that have a candle in one of `histories` and no outcome yet.

        A day without a candle stays pending. A recorded outcome stays, even if a later history differs. Simulated
        histories settle only forecasts of simulated prices, and real ones of real.

        Raises:
            InvalidValue: A history is not daily.
        """
        for history in histories:
            if history.interval is not Interval.DAY_1:
                expected = "that of daily candles, whose closes are forecast"
                raise InvalidValue("interval", history.interval.length, expected)
            tally = self._tallies.get((history.pair, history.simulated))
            awaited = tally.awaited() if tally else set()
            for candle in history.candles:
                if (day := candle.open_time.date()) in awaited:
                    close, high, low = candle.close, candle.high, candle.low
                    self._append(Outcome(history.pair, history.simulated, day, close, high, low, history.source))

    def settle_hours(self, history: History) -> None:
        """Append the outcomes of the hours of each day that has ended, if forecasts wait for one of them.

        They are treated as the days of `settle`; an hour without a candle then is never scored.

        Raises:
            InvalidValue: The history is not hourly.
        """
        if history.interval is not Interval.HOUR_1:
            raise InvalidValue("interval", history.interval.length, "that of hourly candles")
        tally = self._tallies.get((history.pair, history.simulated))
        awaited = tally.awaited_hours() if tally else set()
        for day, candles in groupby(history.candles, lambda candle: candle.open_time.date()):
            if day in awaited and day < history.end.date():
                by_hour = {candle.open_time.hour: candle for candle in candles}
                hours = [by_hour.get(hour) for hour in range(HOURS_A_DAY)]
                closes, highs, lows = (
                    tuple(getattr(candle, name, None) for candle in hours) for name in ("close", "high", "low")
                )
                outcome = HourlyOutcome(history.pair, history.simulated, day, closes, highs, lows, history.source)
                self._append(outcome)

    def release(self, card: Card, forecasts: Mapping[Pair, PairForecast]) -> None:
        """Append the forecasts of a model that is about to be released: one entry for each pair.

        A release that is on record already, as after the same training, is not appended again.

        Raises:
            InvalidValue: The model was trained before the newest release on record, or the ledger is full.
            UnusableHistory: A forecast is outside the range of prices.
        """
        self.check_follows(card.trained_at)
        for entry in [_release(card, pair, forecast) for pair, forecast in forecasts.items()]:
            if entry not in self.ledger.newest:
                self._append(entry)

    def check_follows(self, trained_at: datetime) -> None:
        """Check that a release of this training time (UTC) can follow those on record.

        Raises:
            InvalidValue: It lies before the newest release, or the ledger is full.
        """
        if self.ledger.newest and trained_at < (newest := self.ledger.newest[-1].made_at):
            expected = f"at or after the ledger's newest release, {newest}: check clock, SOURCE_DATE_EPOCH"
            raise InvalidValue("training time", trained_at, expected)
        pending = self._count_pending()
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

    def _append(self, content: Content) -> None:
        self.ledger.append(content)
        self._count(content)

    def _count(self, content: Content) -> None:
        tally = self._tallies.setdefault((content.pair, content.simulated), _Tally())
        if len(self._tallies) > MOST_TALLIES:
            raise EntryFault(f"{content.pair} is one pair more than a ledger can have ({MOST_TALLIES}); {RESTORE}")
        tally.add(content)

    def _count_pending(self) -> int:
        return sum(tally.count_pending() for tally in self._tallies.values())

    def _check_memory(self) -> None:
        if (pending := self._count_pending()) > MOST_PENDING:
            raise EntryFault(f"{pending:,} forecasts have no outcome up to here; at most {MOST_PENDING:,} are allowed")
        if (outcomes := sum(len(tally.closes) for tally in self._tallies.values())) > MOST_OUTCOMES:
            raise EntryFault(f"it is outcome {outcomes:,}; at most {MOST_OUTCOMES:,} are allowed")


def _release(card: Card, pair: Pair, forecast: PairForecast) -> Release:
    """Return the release entry of one pair, with the same predictions as the server's."""
    evaluator, facts = Evaluator(forecast), card.pairs[pair]
    days = [forecast.last + horizon * DAY for horizon in range(1, DAYS + 1)]
    predictions = [evaluator.at(day) for day in days]
    start = forecast.anchor.at
    hours = [start + ahead * Interval.HOUR_1.length for ahead in HOURS] if forecast.hours else []
    models = [name for name in evaluator.models if name != PROPHET or forecast.prophet_bands]
    return Release(
        pair=pair,
        simulated=facts.simulated,
        source=facts.source,
        history_sha256=facts.history_sha256,
        made_at=card.trained_at,
        build=card.build,
        anchor=forecast.anchor,
        last=forecast.last,
        prediction=tuple(prediction.price for prediction in predictions),
        low=tuple(prediction.low for prediction in predictions),
        high=tuple(prediction.high for prediction in predictions),
        quantiles=tuple(_quantiles(evaluator.distribution(day)) for day in days),
        volatility=facts.volatility,
        models={
            name: tuple(_quantiles(evaluator.distribution(forecast.last + ahead * DAY, name)) for ahead in MODEL_DAYS)
            for name in models
        },
        hours=tuple(_quantiles(evaluator.distribution(hour)) for hour in hours),
        touched=tuple(_touched(evaluator, hours)),
    )


def _touched(evaluator: Evaluator, hours: Sequence[datetime]) -> Iterator[tuple[float, ...]]:
    """Yield how probable prices are to be touched until each of these instants, and of the days of `SCORED_DAYS`."""
    extremes, forecast = Extremes(evaluator, COMBINED), evaluator.forecast
    days = [(forecast.last + ahead * DAY, DAY_MOVES) for ahead in SCORED_DAYS]
    for moment, moves in (*((hour, HOUR_MOVES) for hour in hours), *days):
        yield tuple(round(extremes.touched(moment, forecast.anchor.price * (1 + move)), 3) for move in moves)


def _quantiles(distribution: Distribution) -> tuple[float, ...]:
    """Return the prices at `LEVELS`, to six digits."""
    return tuple(float(f"{distribution.quantile(level):.6g}") for level in LEVELS)


def _newest_first(month: LiveMonth) -> tuple[int, int, int]:
    return -month.month.toordinal(), month.horizon_days or 0, month.horizon_hours or 0


def _words(scores: Mapping[str, Any]) -> str:
    if not scores["due"]:
        return "no forecast has come due yet"
    error = f"error {scores['mae']:.2g} in log price, persistence's 0"
    if scores["relative_mae"] is not None:
        error = f"error {scores['relative_mae']:.2f} of persistence's"
    return (
        f"{counted(scores['due'], 'forecast')} of {counted(scores['days'], 'day')} came due: {error}, "
        f"{100 * scores['coverage']:.0f} % inside the {100 * COVERAGE:.0f} % interval"
    )


@dataclass(slots=True)
class _Tally:
    """The figures of one pair, of real or of simulated prices. Entries are added in the order of the ledger."""

    closes: dict[date, float] = field(default_factory=dict)
    pending: dict[date, list[tuple[Release, int]]] = field(default_factory=dict)  # by target: release and days ahead
    _since: datetime | None = None
    _releases: int = 0
    _newest_candle: date = date.min
    # Sums of `live_losses.losses`, of all target days and of each, by the horizon; None: all of them.
    _sums: dict[int | None, dict[str, float]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(float)))
    _days: dict[int | None, LiveDays] = field(
        default_factory=lambda: {horizon: LiveDays(horizon or DAYS) for horizon in (None, *HORIZONS)}
    )
    _hindsight: int = 0
    _latest: dict[date, LiveForecast] = field(default_factory=dict)
    _hours: LiveHours = field(default_factory=LiveHours)
    _touches: LiveTouches = field(default_factory=LiveTouches)
    _models: LiveModels = field(default_factory=LiveModels)

    def awaited(self) -> set[date]:
        """Return the days that were forecast and have no outcome."""
        return {*self.pending, *self._models.pending}

    def awaited_hours(self) -> set[date]:
        """Return the days with hours that forecasts of hours or touches wait for."""
        return self._hours.awaited() | self._touches.awaited()

    def count_pending(self) -> int:
        """Return the number of forecasts without an outcome, those of each model included."""
        others = (self._models, self._hours, self._touches)
        return self._count_own() + sum(each.count_pending() for each in others)

    def _count_own(self) -> int:
        return sum(map(len, self.pending.values()))

    def add(self, content: Content) -> None:
        """Add a release, whose forecasts of days with an outcome are due at once, or an outcome."""
        due = []
        if isinstance(content, Release):
            self._since = self._since or content.made_at
            self._releases += 1
            self._newest_candle = max(self._newest_candle, content.last)
            for horizon in range(1, DAYS + 1):
                target = content.last + horizon * DAY
                if (actual := self.closes.get(target)) is not None:
                    due.append(Due(content, horizon, target, actual))
                else:
                    self.pending.setdefault(target, []).append((content, horizon))
            self._models.add(content, self.closes)
            self._hours.add(content)
            self._touches.add(content)
        elif isinstance(content, HourlyOutcome):
            self._hours.settle(content)
            self._touches.add_hours(content)
        elif content.day not in self.closes:
            self.closes[content.day] = content.close
            waiting = self.pending.pop(content.day, ())
            due = [Due(release, horizon, content.day, content.close) for release, horizon in waiting]
            self._models.settle(content.day, content.close)
            self._touches.add_day(content)
        if due:
            self._score(due)

    def _score(self, due: Sequence[Due]) -> None:
        by_name, horizons = losses(due), np.array([forecast.horizon for forecast in due])
        table = np.column_stack([*by_name.values()])  # (n, losses)
        by_day = np.column_stack([by_name[name] for name in SUMS])
        for horizon, days in self._days.items():
            rows = np.flatnonzero((horizons == horizon) | (horizon is None))
            days.add([due[row].target for row in rows.tolist()], by_day[rows])
            for name, total in zip(by_name, table[rows].sum(axis=0).tolist(), strict=True):
                self._sums[horizon][name] += total
        for forecast in due:
            self._hindsight += forecast.release.made_at.date() > forecast.target
            self._show(*forecast)

    def _show(self, release: Release, horizon: int, target: date, actual: float) -> None:
        # Of the forecasts of a day, show the one that looked the fewest days ahead, and of several the first: with
        # daily releases this is the first forecast for tomorrow after a close.
        shown = self._latest.get(target)
        if shown is None or horizon < shown.horizon_days:
            self._latest[target] = LiveForecast(
                made_at=release.made_at,
                build=release.build,
                target=target,
                horizon_days=horizon,
                prediction=release.prediction[horizon - 1],
                low=release.low[horizon - 1],
                high=release.high[horizon - 1],
                persistence=release.anchor.price,
                actual=actual,
            )
        if len(self._latest) > LATEST:
            del self._latest[min(self._latest)]

    def record(self) -> LiveRecord | None:
        """Return the figures of the published forecasts; None before the first release."""
        if self._since is None:
            return None
        figures = {horizon: scores(self._sums[horizon], days) for horizon, days in self._days.items()}
        known = [days for horizon, days in self._days.items() if horizon is not None and len(days)]
        months = (*self._hours.months(), *(month for days in known for month in days.months()))
        words, (models, pairwise) = _words(figures[None]), self._models.scores()
        if self._hindsight:
            words += f"; {self._hindsight:,} of them made in hindsight, by a history that was cut off"
        return LiveRecord(
            since=self._since,
            releases=self._releases,
            hindsight=self._hindsight,
            pending=self._count_own(),
            overdue=sum(len(waiting) for target, waiting in self.pending.items() if target <= self._newest_candle),
            by_horizon=tuple(
                LiveScore(horizon_days=horizon, **figures[horizon]) for horizon in HORIZONS if figures[horizon]["due"]
            ),
            months=tuple(sorted(months, key=_newest_first)),
            lately=tuple(days.test() for days in known),
            latest=tuple(self._latest[target] for target in sorted(self._latest, reverse=True)),
            words=words,
            models=models,
            pairwise=pairwise,
            hours=self._hours.scores(),
            touches=self._touches.scores(),
            **figures[None],
        )
