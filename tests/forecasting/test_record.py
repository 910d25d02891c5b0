"""The record of released forecasts: its ledger only grows, and its figures are right."""

import copy
import math
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import Evaluator
from crypto_predict.baked.ledger import DAYS, Outcome, Release
from crypto_predict.baked.models import MOST_MODELS
from crypto_predict.baked.schema import HORIZON_DAYS, Anchor, LiveForecast, LiveRecord, Trend
from crypto_predict.errors import BrokenLedger, InvalidValue, UnusableHistory
from crypto_predict.forecasting import record as record_module
from crypto_predict.forecasting.distribution.quantiles import interval_score
from crypto_predict.forecasting.evaluation import metrics
from crypto_predict.forecasting.record import Record
from crypto_predict.history import History
from crypto_predict.market import DAY, Interval, Pair
from crypto_predict.market.forecast import LEVELS
from crypto_predict.web.model import forecast
from crypto_predict.web.model.answers import Answers
from tests.support import ledgers
from tests.support.histories import history_of, make_candle
from tests.support.ledgers import START, contents, make_outcome, make_release, members, sealed
from tests.support.models import BTC, ETH, make_forecast, make_model
from tests.support.models import quantiles as around

pytestmark = pytest.mark.repeats

RELEASE, OUTCOME = members(make_release()), {**members(make_outcome()), "high": 1_000.0, "low": 1.0}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file for all tests, as Hypothesis runs many examples in one test."""
    return tmp_path_factory.mktemp("ledger") / "ledger.jsonl"


def midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def release(  # noqa: PLR0913 each is one fact of a release
    record: Record,
    last: date,
    price: float = 100.0,
    *,
    hours: float = 0,
    drift: float = 0.0,
    reach: float = 0.1,
    pair: Pair = BTC,
    simulated: bool = False,
    late: timedelta = timedelta(minutes=10),
) -> Record:
    """Append one release, made `late` after its anchor, and return the record.

    It forecasts from `price` at `hours` after the close of `last`: `drift` in log price a day, band +- `reach`.
    """
    forecast = make_forecast(
        first=last - 60 * DAY,
        last=last,
        last_close=price,
        anchor=Anchor(midnight(last) + DAY + timedelta(hours=hours), price),
        scale=1.0,
        trend=Trend(last, 1, drift, 0.0, (), ()),
        seasonalities=(),
        level_correction=math.log(price),
        prophet_weights=(1.0,) * HORIZON_DAYS,
        forecast_quantiles=(around(-reach, reach),) * HORIZON_DAYS,
    )
    model = make_model(pair, trained_at=forecast.anchor.at + late, simulated=simulated)
    record.release(model.card, {pair: forecast})
    return record


def settle(record: Record, *histories: History) -> Record:
    """Append the outcomes in histories, and return the record."""
    record.settle(histories)
    return record


def history(
    closes: Mapping[date, float],
    pair: Pair = BTC,
    source: str = "alpaca",
    interval: Interval = Interval.DAY_1,
    *,
    simulated: bool = False,
) -> History:
    """The history of these closes."""
    candles = [make_candle(midnight(day), close) for day, close in sorted(closes.items())]
    return history_of(candles, pair, source, interval, simulated=simulated)


def closes_after(last: date, *closes: float) -> dict[date, float]:
    """Closes of the days after `last`."""
    return {last + (index + 1) * DAY: close for index, close in enumerate(closes)}


def data_of(record: Record) -> bytes:
    return ledgers.data_of(record.ledger)


def releases(record: Record) -> list[Release]:
    return [content for content in contents(data_of(record)) if isinstance(content, Release)]


def outcomes(record: Record) -> dict[date, float]:
    """The recorded closes of real Bitcoin; of several of a day the first."""
    result: dict[date, float] = {}
    for content in contents(data_of(record)):
        if isinstance(content, Outcome) and (content.pair, content.simulated) == (BTC, False):
            result.setdefault(content.day, content.close)
    return result


def live_of(record: Record, pair: Pair = BTC) -> LiveRecord:
    return record.scorecard().pairs[pair]


def test_a_year_of_releases_takes_some_6_mb() -> None:
    """Four releases a day of a pair that costs 123,456.78, each with two models."""
    record = Record()
    for day in range(10):
        for hours in (0, 6, 12, 18):
            record = release(record, START + day * DAY, 123_456.78, hours=hours, drift=0.001)
        record = settle(record, history({START + (day + 1) * DAY: 123_456.78}))
    assert 100_000 < record.ledger.size < 6_150_000 * 10 / 365


READ_AND_MEASURE = """
import sys
from pathlib import Path
from crypto_predict.forecasting.evaluation import metrics
from crypto_predict.forecasting.record import Record
from tests.support.processes import peak
before = peak()
record = Record.read(Path(sys.argv[1]))
lives = record.scorecard().pairs
sizes = sum(map(len, record.ledger.content()))
print(peak() - before, record.ledger.entries, sum(live.due for live in lives.values()), sizes)
"""


def test_a_long_ledger_takes_little_memory(tmp_path: Path) -> None:
    """Fifteen months of four releases a day of twelve models have 10 MB, which are 100 MB as Python objects.

    Only outcomes, forecasts without one (here those of all hours), and one scored forecast a day of each model and
    horizon are kept.
    """
    path, start = tmp_path / "ledger.jsonl", date(2020, 1, 1)
    twelve = {f"m{number}": RELEASE["models"]["garch"] for number in range(MOST_MODELS)}
    content: list[bytes | dict[str, Any]] = []
    for day in range(450):
        last = start + day * DAY
        if day:
            content.append({**OUTCOME, "day": str(last), "close": 100.0 + day % 7})
        for hours in (0, 6, 12, 18):
            at = midnight(last) + DAY + timedelta(hours=hours)
            anchor = {"at": plain.encode(at), "price": 100.0}
            content.append(
                {**RELEASE, "models": twelve, "last": str(last), "made_at": plain.encode(at), "anchor": anchor}
            )
    path.write_bytes(sealed(*content))
    command = [sys.executable, "-c", READ_AND_MEASURE, str(path)]
    child = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    grown, entries, due, size = map(int, child.stdout.split())
    assert (entries, size) == (len(content), path.stat().st_size)
    assert due == 4 * sum(min(30, 449 - day) for day in range(450))
    assert size > 9_500_000
    assert grown < 30 * 2**20


def test_a_full_ledger_is_refused_before_the_training(tmp_path: Path) -> None:
    """Even without any outcome it has room for decades of releases, of the first format here, which is read faster."""
    release = {name: value for name, value in RELEASE.items() if name not in {"quantiles", "volatility"}}
    most = record_module.MOST_PENDING * 9 // 10 // DAYS
    made_at = [plain.encode(midnight(START) + timedelta(days=1, hours=6 * number)) for number in range(most + 1)]
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(sealed(*[{**release, "format": 1, "made_at": at} for at in made_at]))
    with pytest.raises(InvalidValue, match="450,030 forecasts pending' is not small enough"):
        Record.read(path).check_follows(midnight(START) + 9999 * DAY)


def test_a_ledger_of_too_many_pairs_is_refused(tmp_path: Path) -> None:
    """The figures of each pair are kept in memory."""
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(sealed(*[{**OUTCOME, "pair": f"C{number}/USD"} for number in range(1_000)]))
    with pytest.raises(BrokenLedger, match="line 501: C500/USD is one pair more than a ledger can have"):
        Record.read(path)


# Appending

STEPS = st.lists(
    st.tuples(
        st.sampled_from([BTC, ETH]),
        st.booleans(),  # simulated
        st.integers(0, 3),  # days until the next release
        st.sets(st.integers(1, 12)),  # days after the start that have a candle
        st.floats(1, 1e6),
    ),
    max_size=6,
)


@settings(max_examples=40)
@given(STEPS)
def test_appending_keeps_the_earlier_bytes(path: Path, steps: list[tuple[Pair, bool, int, set[int], float]]) -> None:
    """The file can be read again, with the same figures."""
    record, last = Record(), START
    for pair, simulated, wait, days, price in steps:
        last += wait * DAY
        closes = {START + day * DAY: price * (1 + day / 100) for day in days}
        before = data_of(record)
        settle(record, history(closes, pair, simulated=simulated))
        settled = data_of(record)
        release(record, last, price, pair=pair, simulated=simulated)
        path.write_bytes(data_of(record))
        assert settled.startswith(before)
        assert data_of(record).startswith(settled)
        assert Record.read(path) == record
        assert Record.read(path).scorecard() == record.scorecard()
    settled_days = [
        (content.pair, content.simulated, content.day)
        for content in contents(data_of(record))
        if isinstance(content, Outcome)
    ]
    assert len(set(settled_days)) == len(settled_days)


def test_the_same_run_appends_the_same_bytes() -> None:
    """Training again at the same instant gives the same files."""
    record = settle(release(Record(), START, drift=0.01), history(closes_after(START, 101.0)))
    again = [release(copy.deepcopy(record), START + 2 * DAY) for _ in range(2)]
    assert data_of(again[0]) == data_of(again[1]) != data_of(record)


def test_a_release_records_the_answers_of_its_server() -> None:
    """30 closes from the day after the last candle on, and the facts of the model."""
    model = make_model(BTC, ETH)
    record = Record()
    record.release(model.card, model.forecasts)
    first, second = releases(record)
    series, start, *_ = forecast.question(Answers(model), "BTC-USD", "")
    rows = [series.row(start + n * DAY) for n in range(DAYS)]
    assert [first.last + horizon * DAY for horizon in range(1, DAYS + 1)] == [row.moment for row in rows]
    assert list(first.prediction) == [row.price.price for row in rows]
    assert list(first.low) == [row.price.low for row in rows]
    assert list(first.high) == [row.price.high for row in rows]
    card = model.card.pairs[BTC]
    assert (first.pair, second.pair) == (BTC, ETH)
    assert (first.source, first.simulated, first.history_sha256) == (card.source, card.simulated, card.history_sha256)
    assert first.volatility == card.volatility
    evaluator = Evaluator(model.forecasts[BTC])
    for row, quantiles in zip(rows, first.quantiles, strict=True):
        distribution = evaluator.distribution(row.moment)
        assert quantiles == pytest.approx([distribution.quantile(level) for level in LEVELS], rel=1e-5)
    assert (first.made_at, first.build, first.anchor) == (model.card.trained_at, model.card.build, card.anchor)


def test_a_release_before_the_newest_one_is_refused() -> None:
    """The clock was set back, or SOURCE_DATE_EPOCH is missing. The same release is not appended twice."""
    record = release(Record(), START + DAY)
    assert release(record, START + DAY) == release(Record(), START + DAY)
    with pytest.raises(InvalidValue, match="at or after the ledger's newest release, 2024-05-19 00:10:00"):
        release(record, START)


def test_a_forecast_that_is_not_a_price_is_refused() -> None:
    """The ledger could not be read again."""
    with pytest.raises(
        UnusableHistory, match="BTC/USD from alpaca: its release cannot be recorded: a forecast is not a positive price"
    ):
        release(Record(), START, drift=-50.0)


def test_only_forecast_days_get_an_outcome() -> None:
    """Not the last candle's day, the days before it, or the 31st day after it; forecasts are of daily closes."""
    record = release(Record(), START)
    closes = {START + day * DAY: 100.0 + day for day in range(-20, 60)}
    expected = {START + day * DAY: 100.0 + day for day in range(1, 31)}
    assert outcomes(settle(record, history(closes))) == expected
    with pytest.raises(InvalidValue, match="daily"):
        settle(record, history(closes, interval=Interval.HOUR_1))


def test_settling_twice_or_what_was_not_forecast_appends_nothing() -> None:
    closes = closes_after(START, 101.0, 102.0)
    record = settle(release(Record(), START), history(closes))
    before = data_of(record)
    assert data_of(settle(record, history(closes), history(closes, simulated=True), history(closes, ETH))) == before
    assert settle(Record(), history(closes)) == Record()


def test_the_first_outcome_of_a_day_counts(path: Path) -> None:
    """A different price in a later history, of this source or another, changes nothing."""
    record = settle(release(Record(), START), history(closes_after(START, 101.0)))
    later = settle(record, history(closes_after(START, 999.0, 102.0), source="file:other.csv"))
    assert outcomes(later) == closes_after(START, 101.0, 102.0)
    path.write_bytes(sealed(RELEASE, OUTCOME, {**OUTCOME, "close": 999.0}))
    assert [one.actual for one in live_of(Record.read(path)).latest] == [101.0]


def test_a_forecast_of_a_day_with_an_outcome_is_due_at_once() -> None:
    """As after a training with an earlier `--until`; such forecasts are reported as hindsight."""
    record = settle(release(Record(), START), history(closes_after(START, 101.0)))
    record = release(record, START, 100.0, late=timedelta(hours=24))
    live = live_of(record)
    assert (live.due, live.days, live.hindsight) == (2, 1, 1)
    assert live.words.endswith("interval; 1 of them made in hindsight, by a history that was cut off")


def test_simulated_and_real_prices_and_different_pairs_are_never_compared() -> None:
    """A fallback on the simulated market must not score forecasts of the real one."""
    record = release(release(Record(), START), START, simulated=True)
    record = settle(record, history(closes_after(START, 50.0, 60.0), source="simulated", simulated=True))
    scorecard = record.scorecard()
    assert (scorecard.pairs[BTC].due, scorecard.pairs[BTC].pending) == (0, 30)
    assert (scorecard.simulated[BTC].due, scorecard.simulated[BTC].pending) == (2, 28)
    real = settle(release(record, START, pair=ETH), history(closes_after(START, 101.0))).scorecard()
    assert [forecast.actual for forecast in real.pairs[BTC].latest] == [101.0]
    assert real.simulated == scorecard.simulated
    assert [(pair, live.due) for pair, live in real.pairs.items()] == [(BTC, 1), (ETH, 0)]


# Figures


def test_all_forecasts_of_a_first_release_are_pending() -> None:
    new = Record().scorecard()
    assert (new.entries, new.head, new.pairs, new.simulated) == (0, "0" * 64, {}, {})
    live = live_of(release(Record(), START))
    assert (live.releases, live.due, live.days, live.pending, live.overdue) == (1, 0, 0, 30, 0)
    assert (live.mae, live.relative_mae, live.skill, live.coverage) == (None, None, None, None)
    assert (live.coverage_confidence, live.probabilities, live.months, live.lately) == (None, None, (), ())
    assert (live.by_horizon, live.latest) == ((), ())
    assert live.words == "no forecast has come due yet"


def test_the_figures_are_those_computed_by_hand() -> None:
    """Predicted: 100 x e^0.1 and 100 x e^0.2, each +- 0.1 in log price. Actual: 100 x e^0.15 on both days.

    The errors are 0.05 and 0.05; those of persistence, which forecasts 100, 0.15 and 0.15. Both are inside.
    """
    record = release(Record(), START, drift=0.1)
    settle(record, history(closes_after(START, *[100 * math.exp(0.15)] * 2)))
    live = live_of(record)
    assert (live.releases, live.due, live.days, live.pending, live.overdue, live.hindsight) == (1, 2, 2, 28, 0, 0)
    assert live.since == midnight(START) + DAY + timedelta(minutes=10)
    assert live.mae == pytest.approx(0.05, abs=1e-4)  # prices are published in cents
    assert live.relative_mae == pytest.approx(1 / 3, abs=1e-3)
    assert live.skill == pytest.approx(2 / 3, abs=1e-3)
    assert live.coverage == 1.0
    assert live.words == "2 forecasts of 2 days came due: error 0.33 of persistence's, 100 % inside the 80 % interval"
    (tomorrow,) = live.by_horizon
    assert (tomorrow.horizon_days, tomorrow.due, tomorrow.days, tomorrow.coverage) == (1, 1, 1, 1.0)
    assert tomorrow.mae == pytest.approx(0.05, abs=1e-4)
    newest, older = live.latest
    assert (newest.target, newest.horizon_days) == (START + 2 * DAY, 2)
    assert older == LiveForecast(
        made_at=live.since,
        build="0.3.1-20240518001000",
        target=START + DAY,
        horizon_days=1,
        prediction=110.52,
        low=100.0,
        high=122.14,
        persistence=100.0,
        actual=100 * math.exp(0.15),
    )


def test_the_scores_of_released_quantiles_are_those_computed_by_hand() -> None:
    """The interval of 80 % is 0.1 in log price to either side of 100; persistence is a Gaussian of 0.025 a day.

    Of the five outcomes one is at the median, one inside 50 %, one inside 80 %, one inside 90 % and one outside.
    """
    record, moves = release(Record(), START), (0.0, 0.04, -0.08, 0.12, -0.3)
    settle(record, history(closes_after(START, *[100 * math.exp(move) for move in moves])))
    live, actual, days = live_of(record).distribution, np.array(moves), np.arange(1, 6)
    assert live is not None
    quantiles = np.log(np.array(releases(record)[0].quantiles[:5]) / 100)
    sigma = 0.025 * np.sqrt(days)
    crps = metrics.crps_quantiles(actual, quantiles, np.array(LEVELS))
    reference = metrics.crps_gaussian(actual, np.zeros(5), sigma)
    half = sigma * stats.norm.ppf(0.9)
    winkler = [interval_score(actual, -reach, reach, 0.8).mean() for reach in (np.full(5, 0.1), half)]
    assert (live.due, live.coverage_50, live.coverage_90) == (5, 0.4, 0.8)
    assert live.crps == pytest.approx(crps.mean(), rel=1e-3)
    assert live.relative_crps == pytest.approx(crps.mean() / reference.mean(), rel=1e-3)
    assert live.relative_winkler == pytest.approx(winkler[0] / winkler[1], rel=1e-3)
    assert live_of(record).winkler == pytest.approx(winkler[0], rel=1e-3)
    assert live.pit == (0.2, 0.2, 0, 0, 0.0, 0.2, 0.2, 0, 0, 0.2)
    # Persistence's Gaussian of tomorrow's close is half as wide in variance if half of the day has passed.
    late = live_of(settle(release(Record(), START, hours=12), history(closes_after(START, 100.0)))).distribution
    assert late is not None
    assert late.relative_winkler == pytest.approx(0.1 / (stats.norm.ppf(0.9) * 0.025 * math.sqrt(0.5)), rel=1e-3)


def test_coverage_by_month_and_probabilities_are_those_of_the_horizons_on_record() -> None:
    """Of one release, whose interval held in the three days of May and in none of June.

    Its range of 98 % is that from 83.5 to 120.3, so it is asked for 85, 90 ... 120.
    """
    last = date(2024, 5, 28)
    record = settle(release(Record(), last), history(closes_after(last, 100.0, 100.0, 100.0, *[150.0] * 11)))
    live = live_of(record)
    assert [(row.month, row.horizon_days, row.due, row.coverage.value) for row in live.months] == [
        (date(2024, 6, 1), 7, 1, 0.0),
        (date(2024, 6, 1), 14, 1, 0.0),
        (date(2024, 5, 1), 1, 1, 1.0),
        (date(2024, 5, 1), 3, 1, 1.0),
    ]
    assert [(test.horizon_days, test.since, test.days, test.p_value) for test in live.lately] == [
        (horizon, last + horizon * DAY, 1, None) for horizon in (1, 3, 7, 14)
    ]
    tomorrow, probabilities = live.by_horizon[0].probabilities, live.probabilities
    assert tomorrow is not None
    assert probabilities is not None
    assert (tomorrow.questions, probabilities.questions, probabilities.days) == (8, 8 * 14, 14)
    assert tomorrow.relative_brier is not None
    assert tomorrow.relative_brier.value == pytest.approx(tomorrow.ours.brier / tomorrow.persistence.brier, rel=1e-4)


def test_a_ledger_of_the_first_format_is_continued(path: Path) -> None:
    """Its releases have the interval alone; they are scored by it, and newer ones by all quantiles."""
    first = {name: value for name, value in RELEASE.items() if name not in {"quantiles", "volatility"}}
    path.write_bytes(sealed({**first, "format": 1}, {**OUTCOME, "format": 1}))
    record = Record.read(path)
    [old] = releases(record)
    assert (old.quantiles, old.volatility) == ((), None)
    before = live_of(record)
    assert (before.due, before.distribution, before.probabilities) == (1, None, None)
    assert before.winkler == pytest.approx(math.log(old.high[0] / old.low[0]))
    record = settle(release(record, START + DAY), history(closes_after(START + DAY, 102.0)))
    path.write_bytes(data_of(record))
    after = live_of(Record.read(path))
    assert after == live_of(record)
    assert after.due == 3
    assert after.distribution is not None
    assert after.distribution.due == 1


def test_the_interval_includes_both_ends() -> None:
    record = release(Record(), START, reach=math.log(2))
    assert live_of(settle(record, history(closes_after(START, 50.0, 200.0, 49.99, 200.01)))).coverage == 0.5


def test_without_errors_of_persistence_no_figure_is_relative_to_them() -> None:
    live = live_of(settle(release(Record(), START, drift=0.1), history(closes_after(START, 100.0))))
    assert (live.relative_mae, live.skill, live.by_horizon[0].relative_mae) == (None, None, None)
    assert (
        live.words
        == "1 forecast of 1 day came due: error 0.1 in log price, persistence's 0, 100 % inside the 80 % interval"
    )


def test_a_day_without_a_candle_is_pending_and_overdue() -> None:
    """A later history may contain it; days that the history has passed are counted separately."""
    gapped = {START + DAY: 101.0, START + 3 * DAY: 103.0}
    record = release(settle(release(Record(), START), history(gapped)), START + 3 * DAY)
    live = live_of(record)
    assert (live.due, live.pending, live.overdue) == (2, 58, 1)
    live = live_of(settle(record, history(closes_after(START, 101.0, 102.0, 103.0))))
    assert (live.due, live.pending, live.overdue) == (3, 57, 0)
    assert live_of(release(release(Record(), START), START + DAY)).overdue == 1  # the last candle's own day


def test_overlapping_forecasts_and_their_different_days_are_counted() -> None:
    """Four releases a day give 120 forecasts of each day. The latest are the first ones for tomorrow.

    The last release before a close would look better than the forecasts are: most of the day has passed.
    """
    record = Record()
    for day in range(40):
        for hours in (0, 6, 12, 18):
            record = release(record, START + day * DAY, 100.0 + hours, hours=hours)
        record = settle(record, history({START + (day + 1) * DAY: 103.0}))
    live = live_of(record)
    assert (live.releases, live.days) == (160, 40)
    assert live.due == 4 * (10 * 30 + sum(range(1, 31)))
    assert live.due + live.pending == 160 * 30
    assert live.words.startswith("3,060 forecasts of 40 days came due: ")
    scores = [(score.horizon_days, score.due, score.days) for score in live.by_horizon]
    assert scores == [(horizon, 4 * (41 - horizon), 41 - horizon) for horizon in (1, 3, 7, 14, 30)]
    assert [forecast.target for forecast in live.latest] == [START + day * DAY for day in range(40, 10, -1)]
    assert {(forecast.horizon_days, forecast.persistence) for forecast in live.latest} == {(1, 100.0)}


def test_without_a_forecast_for_tomorrow_the_latest_has_the_shortest_horizon() -> None:
    record = release(release(Record(), START), START + 2 * DAY)
    latest = live_of(settle(record, history(closes_after(START, *[101.0] * 5)))).latest
    assert [forecast.horizon_days for forecast in latest] == [3, 2, 1, 2, 1]
