"""Estimates of an earlier training: they save time, and change nothing else."""

import base64
import logging

import numpy as np
import pytest

from crypto_predict.errors import InvalidValue
from crypto_predict.forecasting.candidates import CANDIDATES
from crypto_predict.forecasting.candidates.candidate import WEEK, WINDOW
from crypto_predict.forecasting.candidates.weekly import CHECKED_EVERY, NOTHING, Estimates, forecast_weekly
from crypto_predict.history.columns import FloatArray
from tests.support.markets import random_walk, series_of

DAYS, LONGEST = 600, 400
MARKET = random_walk(1, DAYS)
Forecasts = tuple[FloatArray, FloatArray, FloatArray, Estimates]
ENTRY_BYTES = 8 + 4 * sum(candidate.numbers for candidate in CANDIDATES)


def forecast(log_close: FloatArray, earlier: Estimates = NOTHING, first: int = 0) -> Forecasts:
    """The forecasts of a history that starts at the place `first`, at every third day from the place 400 on."""
    series = series_of(log_close).until(len(log_close) - 1, len(log_close) - first)
    return forecast_weekly(series, np.arange(400, len(log_close), 3) - first, (1, 7), (1, 7), LONGEST, earlier=earlier)


@pytest.fixture(scope="module")
def fresh() -> Forecasts:
    """The forecasts without earlier estimates."""
    return forecast(MARKET)


def same(ours: Forecasts, theirs: Forecasts) -> bool:
    arrays = [[array.tobytes() for array in forecasts[:3]] for forecasts in (ours, theirs)]
    return arrays[0] == arrays[1] and ours[3].texts() == theirs[3].texts()


def test_what_is_written_is_read_back(fresh: Forecasts) -> None:
    texts = fresh[3].texts()
    assert len(texts) == fresh[3].carried + len(fresh[3].by_digest) > 25
    assert Estimates.parse(texts).texts() == texts


def test_the_forecasts_are_the_same_with_and_without_earlier_estimates(fresh: Forecasts) -> None:
    again = forecast(MARKET, Estimates.parse(fresh[3].texts()))
    assert again[3].carried == len(fresh[3].by_digest)
    assert same(again, fresh)


def test_a_day_later_only_new_weeks_are_estimated() -> None:
    """The history has then moved on at both ends."""
    before = forecast(MARKET[:-1])
    after, fresh = (forecast(MARKET, earlier, first=1) for earlier in (before[3], NOTHING))
    assert after[3].carried >= len(fresh[3].by_digest) - 1
    assert same(after, fresh)


def test_a_changed_past_is_noticed(fresh: Forecasts) -> None:
    """Every estimation that has seen the changed close is made again, and only these."""
    changed = MARKET.copy()
    changed[150] += 1e-9
    earlier, anew = forecast(changed, fresh[3]), forecast(changed)
    assert same(earlier, anew)
    affected = (150 + WINDOW - 400) // WEEK
    assert len(anew[3].by_digest) - earlier[3].carried == pytest.approx(affected, abs=1)


def test_estimates_of_another_method_are_noticed(fresh: Forecasts, caplog: pytest.LogCaptureFixture) -> None:
    """As those of an older program, or of a file that was tampered with: a sample is estimated again."""
    altered = Estimates({digest: numbers[::-1] for digest, numbers in fresh[3].by_digest.items()})
    with caplog.at_level(logging.WARNING):
        done = forecast(MARKET, altered)
    assert done[3].carried == 0
    assert same(done, fresh)
    assert "all are made anew" in caplog.text


def test_the_newest_estimate_is_always_in_the_sample(fresh: Forecasts) -> None:
    assert len(fresh[3].by_digest) < CHECKED_EVERY
    newest = list(fresh[3].by_digest)[-1]
    altered = Estimates({**fresh[3].by_digest, newest: bytes(ENTRY_BYTES - 8)})
    assert forecast(MARKET, altered)[3].carried == 0


@pytest.mark.parametrize(
    "text", ["", "*", "abc", "A" * 71, base64.b64encode(bytes(ENTRY_BYTES + 4)).decode(), "é" * 72]
)
def test_a_text_that_is_not_an_estimate_is_an_error(text: str) -> None:
    with pytest.raises(InvalidValue, match="estimate"):
        Estimates.parse([text])
