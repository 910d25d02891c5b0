"""The record of released forecasts: a ledger, and how its forecasts compare with the prices that followed.

Each forecast with a recorded outcome counts once, even if several releases forecast the same day from the same price.
Four releases a day that forecast thirty days ahead cover each day 120 times, and their errors are far from
independent. So the number of different days is counted, too: it shows how much evidence the other figures rest on.
`live_days` has the coverage by month, `live_probabilities` those of round prices, `live_models` the record of each
model, `live_hours` that of the hours after the newest price.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from crypto_predict.baked.distribution import Distribution
from crypto_predict.baked.evaluation import PROPHET, Evaluator
from crypto_predict.baked.ledger import (
    DAYS,
    HOURS,
    MODEL_DAYS,
    MOST_BYTES,
    RESTORE,
    Content,
    EntryFault,
    HourOutcome,
    Ledger,
    Outcome,
    Place,
    Release,
)
from crypto_predict.baked.schema import (
    COVERAGE,
    Card,
    LiveDistribution,
    LiveForecast,
    LiveMonth,
    LiveRecord,
    LiveScore,
    PairForecast,
    Scorecard,
)
from crypto_predict.errors import InvalidValue
from crypto_predict.forecasting import live_probabilities
from crypto_predict.forecasting.distribution.quantiles import GAUSSIAN, interval_score
from crypto_predict.forecasting.evaluation import metrics
from crypto_predict.forecasting.live_days import SUMS, LiveDays
from crypto_predict.forecasting.live_hours import LiveHours
from crypto_predict.forecasting.live_models import LiveModels
from crypto_predict.history import History
from crypto_predict.history.columns import FloatArray
from crypto_predict.market import DAY, Candle, Interval, Pair
from crypto_predict.market.forecast import LEVELS
from crypto_predict.wording import counted

ROOM = 2**24  # bytes that one more training may append
# Forecasts without an outcome. A pair that is released four times a day has 3,600, and 128 of each model.
MOST_PENDING = 500_000
MOST_OUTCOMES = 500_000  # of all pairs; fifty years of one have 18,000
MOST_TALLIES = 500  # pairs; one with real and with invented prices counts twice
HORIZONS = (1, 3, 7, 14, 30)  # days ahead that are also scored separately
LATEST = 30  # target days shown one by one

_LEAST_PRICE = np.finfo(np.float64).tiny  # for the low end of an interval, which may be 0


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
                    self._append(Outcome(history.pair, history.simulated, day, candle.close, history.source))

    def settle_hours(self, history: History, candles: Iterable[Candle]) -> None:
        """Append the outcomes of all target hours that have one of these hourly `candles`, of the source of `history`.

        They are treated as the days of `settle`; an hour without a candle is never scored.
        """
        if (tally := self._tallies.get((history.pair, history.simulated))) is None:
            return
        awaited = {*tally.hours.pending}
        for candle in candles:
            if (at := candle.open_time + Interval.HOUR_1.length) in awaited:
                self._append(HourOutcome(history.pair, history.simulated, at, candle.close, history.source))

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
    )


def _quantiles(distribution: Distribution) -> tuple[float, ...]:
    """Return the prices at `LEVELS`, to six digits."""
    return tuple(float(f"{distribution.quantile(level):.6g}") for level in LEVELS)


class _Due(NamedTuple):
    """A published forecast and its outcome."""

    release: Release
    horizon: int  # days
    target: date
    actual: float


def _losses(due: Sequence[_Due]) -> dict[str, FloatArray]:
    """Return the losses (n,) of forecasts by name, in log price; those of quantiles are 0 without quantiles.

    Quantiles are compared with a Gaussian around persistence, which widens from the anchor to the target.
    """
    rows, quantile_rows, variances, levels = [], [], [], np.array(LEVELS)
    for release, horizon, target, close in due:
        ends = (values[horizon - 1] for values in (release.prediction, release.low, release.high))
        rows.append((close, release.anchor.price, *ends))
        quantile_rows.append(release.quantiles[horizon - 1] if release.quantiles else (1.0,) * len(LEVELS))
        elapsed = datetime.combine(target, time.min, UTC) + DAY - release.anchor.at
        variances.append((release.volatility or 0.0) ** 2 * (elapsed / DAY))
    prices, quantiles, sigma = np.array(rows), np.log(quantile_rows), np.sqrt(variances)
    actual, persistence, prediction, low, high = np.log(np.maximum(prices, _LEAST_PRICE)).T
    by_level, reach = dict(zip(LEVELS, quantiles.T, strict=True)), GAUSSIAN * sigma
    winkler = interval_score(actual, low, high, COVERAGE)
    tenths = np.minimum(metrics.pit(actual, quantiles, levels) * metrics.PIT_BINS, metrics.PIT_BINS - 1).astype(int)
    of_quantiles = {
        "distributions": np.ones(len(due)),
        "crps": metrics.crps_quantiles(actual, quantiles, levels),
        "reference_crps": metrics.crps_gaussian(actual, persistence, sigma),
        "reference_winkler": interval_score(actual, persistence - reach, persistence + reach, COVERAGE),
        "inside_50": (by_level[0.25] <= actual) & (actual <= by_level[0.75]),
        "inside_90": (by_level[0.05] <= actual) & (actual <= by_level[0.95]),
        **{f"tenth_{tenth}": tenths == tenth for tenth in range(metrics.PIT_BINS)},
        "distribution_winkler": winkler,
        **live_probabilities.losses(actual, persistence, sigma, quantiles),
    }
    has_quantiles = np.array([bool(release.quantiles) for release, *_ in due])
    return {
        "due": np.ones(len(due)),
        "error": np.abs(actual - prediction),
        "reference": np.abs(actual - persistence),
        "inside": (prices[:, 3] <= prices[:, 0]) & (prices[:, 0] <= prices[:, 4]),
        "winkler": winkler,
        **{name: np.where(has_quantiles, values, 0.0) for name, values in of_quantiles.items()},
    }


def _scores(sums: Mapping[str, float], days: LiveDays) -> dict[str, Any]:
    """Return the fields that `LiveScore` and `LiveRecord` share, from sums of `_losses`, over all days and of each."""
    distribution, probabilities, relative = None, None, _ratio(sums, "error", "reference")
    if due := sums["distributions"]:
        probabilities = live_probabilities.scores(sums, *days.relative_brier())
        distribution = LiveDistribution(
            due=round(due),
            crps=sums["crps"] / due,
            coverage_50=sums["inside_50"] / due,
            coverage_90=sums["inside_90"] / due,
            relative_crps=_ratio(sums, "crps", "reference_crps"),
            relative_winkler=_ratio(sums, "distribution_winkler", "reference_winkler"),
            pit=tuple(sums[f"tenth_{tenth}"] / due for tenth in range(metrics.PIT_BINS)),
        )
    return {
        "due": round(sums["due"]),
        "days": len(days),
        "mae": _ratio(sums, "error", "due"),
        "relative_mae": relative,
        "skill": None if relative is None else 1 - relative,
        "coverage": _ratio(sums, "inside", "due"),
        "coverage_confidence": days.coverage_confidence() if sums["due"] else None,
        "winkler": _ratio(sums, "winkler", "due"),
        "distribution": distribution,
        "probabilities": probabilities,
    }


def _ratio(sums: Mapping[str, float], name: str, of: str) -> float | None:
    """Return the ratio of two sums; None if the second is 0."""
    return sums[name] / sums[of] if sums[of] > 0 else None


def _newest_first(month: LiveMonth) -> tuple[int, int]:
    return -month.month.toordinal(), month.horizon_days


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
    # Sums of `_losses`, of all target days and of each, by the horizon; None: all of them.
    _sums: dict[int | None, dict[str, float]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(float)))
    _days: dict[int | None, LiveDays] = field(
        default_factory=lambda: {horizon: LiveDays(horizon or DAYS) for horizon in (None, *HORIZONS)}
    )
    _hindsight: int = 0
    _latest: dict[date, LiveForecast] = field(default_factory=dict)
    hours: LiveHours = field(default_factory=LiveHours)
    _models: LiveModels = field(default_factory=LiveModels)

    def awaited(self) -> set[date]:
        """Return the days that were forecast and have no outcome."""
        return {*self.pending, *self._models.pending}

    def count_pending(self) -> int:
        """Return the number of forecasts without an outcome, those of each model included."""
        return self._count_own() + self._models.count_pending() + self.hours.count_pending()

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
                    due.append(_Due(content, horizon, target, actual))
                else:
                    self.pending.setdefault(target, []).append((content, horizon))
            self._models.add(content, self.closes)
            self.hours.add(content)
        elif isinstance(content, HourOutcome):
            self.hours.settle(content.at, content.close)
        elif content.day not in self.closes:
            self.closes[content.day] = content.close
            waiting = self.pending.pop(content.day, ())
            due = [_Due(release, horizon, content.day, content.close) for release, horizon in waiting]
            self._models.settle(content.day, content.close)
        if due:
            self._score(due)

    def _score(self, due: Sequence[_Due]) -> None:
        losses, horizons = _losses(due), np.array([forecast.horizon for forecast in due])
        table = np.column_stack([*losses.values()])  # (n, losses)
        by_day = np.column_stack([losses[name] for name in SUMS])
        for horizon, days in self._days.items():
            rows = np.flatnonzero((horizons == horizon) | (horizon is None))
            days.add([due[row].target for row in rows.tolist()], by_day[rows])
            for name, total in zip(losses, table[rows].sum(axis=0).tolist(), strict=True):
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
        scores = {horizon: _scores(self._sums[horizon], days) for horizon, days in self._days.items()}
        known = [days for horizon, days in self._days.items() if horizon is not None and len(days)]
        words, (models, pairwise) = _words(scores[None]), self._models.scores()
        if self._hindsight:
            words += f"; {self._hindsight:,} of them made in hindsight, by a history that was cut off"
        return LiveRecord(
            since=self._since,
            releases=self._releases,
            hindsight=self._hindsight,
            pending=self._count_own(),
            overdue=sum(len(waiting) for target, waiting in self.pending.items() if target <= self._newest_candle),
            by_horizon=tuple(
                LiveScore(horizon_days=horizon, **scores[horizon]) for horizon in HORIZONS if scores[horizon]["due"]
            ),
            months=tuple(sorted((month for days in known for month in days.months()), key=_newest_first)),
            lately=tuple(days.test() for days in known),
            latest=tuple(self._latest[target] for target in sorted(self._latest, reverse=True)),
            words=words,
            models=models,
            pairwise=pairwise,
            hours=self.hours.scores(),
            **scores[None],
        )
