"""The LSTM sees nothing of the future, is scored at the same minutes as the others, and is published as it is."""

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bench import lstm
from bench.lstm import Parts, compare, engineered, why_not
from crypto_predict.forecasting.minutes.backtest import HORIZONS
from crypto_predict.forecasting.minutes.features import Minutes
from crypto_predict.market import Pair
from tests.support.minute_markets import DAY, columns, later, market

BTC = Pair("BTC", "USD")
DOCS = Path("docs")


def moves_of(minutes: Minutes) -> np.ndarray:
    return np.column_stack([minutes.moves(horizon) for horizon in HORIZONS])


def test_no_outcome_of_one_part_lies_in_the_next() -> None:
    """A network that was trained on moves into the test would know its beginning."""
    minutes = Minutes.of(columns(market(0, 3 * DAY)))
    parts = Parts.of(minutes, moves_of(minutes))
    assert [len(part) > 0 for part in parts] == [True] * 3
    for earlier, after in pairwise(parts):
        assert earlier[-1] + max(HORIZONS) < after[0]
    assert parts.test[0] >= 0.9 * len(minutes)


def test_no_window_reaches_over_a_gap() -> None:
    """Minutes on both sides of a gap are not neighbours."""
    first = market(0, 2 * DAY)
    candles = [*first, *later(market(1, DAY), 2 * DAY + 600, first[-1].close / 100)]
    minutes = Minutes.of(columns(candles))
    rows = np.concatenate(Parts.of(minutes, moves_of(minutes)))
    assert np.all(minutes.segment[rows] == minutes.segment[rows - lstm.WINDOW + 1])
    assert set(minutes.segment[rows]) == {0, 1}


def test_another_future_changes_no_feature() -> None:
    """Features are standardised with the minutes of the training alone."""
    candles, cut = market(0, 3 * DAY), int(0.9 * 3 * DAY)
    other = [*candles[:cut], *later(candles[cut:], 0, 1.1)]
    result = []
    for history in (candles, other):
        minutes = Minutes.of(columns(history))
        result.append(engineered(minutes, Parts.of(minutes, moves_of(minutes)).train))
    np.testing.assert_array_equal(result[0][:cut], result[1][:cut])
    assert not np.array_equal(result[0][cut:], result[1][cut:])


@pytest.mark.timeout(600)  # four networks are compiled
@pytest.mark.skipif(why_not() is not None, reason=f"the LSTM is {why_not()}")
def test_every_forecaster_is_scored_at_the_same_minutes_and_twice_the_same() -> None:
    candles = columns(market(0, 3 * DAY))
    scores, epochs = compare(BTC, candles, most_epochs=1)
    assert [(score.horizon_minutes, score.forecaster) for score in scores] == [
        (horizon, name) for horizon in HORIZONS for name in ("lstm", "ours", "persistence")
    ]
    assert len({score.forecasts for score in scores}) == 1
    persistence = [score for score in scores if score.forecaster == "persistence"]
    assert {(score.relative_mae, score.relative_mse, score.relative_winkler) for score in persistence} == {(1, 1, 1)}
    assert all(0.5 < score.coverage < 1 for score in scores)
    assert [epoch.epoch for epoch in epochs] == [1]
    assert compare(BTC, candles, most_epochs=1) == (scores, epochs)


def test_without_keras_the_command_names_the_file_to_install(capsys: pytest.CaptureFixture[str]) -> None:
    if why_not() is None:
        pytest.skip("keras is installed here")
    assert lstm.main(["--source", "file:missing.csv"]) == 1
    assert "requirements-lstm.txt" in capsys.readouterr().err


def published() -> list[dict[str, str]]:
    return list(csv.DictReader(lstm.SCORES.read_text(encoding="utf-8").splitlines()))


def test_the_published_table_is_the_measured_one() -> None:
    """The guide rounds the committed scores; a new measurement comes with a new table."""
    text = (DOCS / "figures.md").read_text(encoding="utf-8")
    by_key = {(row["pair"], int(row["horizon_minutes"]), row["forecaster"]): row for row in published()}
    for pair, horizon in {key[:2] for key in by_key}:
        network, ours = (by_key[pair, horizon, name] for name in ("lstm", "ours"))
        cells = [
            pair,
            f"{horizon} min",
            *(f"**{float(network[name]):.3f}**" for name in ("relative_mae", "relative_mse")),
            *(f"{float(ours[name]):.3f}" for name in ("relative_mae", "relative_mse")),
            *(f"{float(row['relative_winkler']):.3f}" for row in (network, ours)),
            *(f"{100 * float(row['coverage']):.1f} %" for row in (network, ours)),
        ]
        assert f"| {' | '.join(cells)} |" in text


def test_the_lstm_is_published_as_not_shipped_because_it_lost_everywhere() -> None:
    """If it ever wins at a horizon, the guides and the notebook say something wrong."""
    rows = published()
    assert {(row["pair"], int(row["horizon_minutes"])) for row in rows} >= {
        (pair, horizon) for pair in ("BTC/USD", "ETH/USD") for horizon in HORIZONS
    }
    for network, ours in zip(rows[::3], rows[1::3], strict=True):
        assert (network["forecaster"], ours["forecaster"]) == ("lstm", "ours")
        for name in ("relative_mae", "relative_mse", "relative_winkler"):
            assert float(network[name]) > float(ours[name])
    assert "does not ship" in (DOCS / "forecast.md").read_text(encoding="utf-8")
