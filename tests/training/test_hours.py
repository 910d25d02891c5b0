"""The hours of a training: read from the source of the days, learned, scored and baked, or left out with a reason."""

from pathlib import Path

import pytest

from crypto_predict.baked import store
from crypto_predict.baked.schema import PairCard, PairForecast
from crypto_predict.market import Pair
from crypto_predict.market.forecast import HOURS_AHEAD
from tests.support.training import QUICK, REVISION, in_process, price_file

MARKET = ("--source", "simulated", "--pair", "BTC/USD", "--days", "400", "--rivals", "gaussian", *QUICK)


def trained(folder: Path, *arguments: str) -> tuple[PairForecast, PairCard]:
    output = folder / "model.pkl"
    assert in_process(*arguments, "--no-gate", "--output", str(output)) == 0
    model = store.load(output)
    (pair,) = model.forecasts
    return model.forecasts[pair], model.card.pairs[pair]


def test_the_hours_start_at_the_newest_price_and_are_scored_out_of_sample(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forecast, card = trained(tmp_path, *MARKET, "--hours", "150d", "--until", "2024-05-16", "--verbose")
    assert len(forecast.hours) == HOURS_AHEAD
    assert card.no_hours is None
    assert [score.horizon_hours for score in card.hours] == [1, 3, 6, 12, 24]
    for score in card.hours:
        assert 1_600 < score.forecasts <= 1_800, "half of 150 days"
        assert 0.7 < score.coverage < 0.9
    report = capsys.readouterr().out
    assert "BTC/USD  24 hours" in report
    assert "hours, out of sample in the second half of theirs" in report


def test_the_next_release_scores_the_hours_and_touches_of_the_one_before(tmp_path: Path) -> None:
    """A release at the close of a day, and the next one a day later, which has read the hours between them."""
    output = ("--no-gate", "--hours", "70d", "--output", str(tmp_path / "model.pkl"))
    ledger = ("--ledger", str(tmp_path / "model.ledger.jsonl"))
    for day, made_at, continued in (("2024-05-16", 1_715_904_600, ()), ("2024-05-17", 1_715_991_000, ledger)):
        environ = {**REVISION, "SOURCE_DATE_EPOCH": str(made_at)}  # ten minutes after the end of the day
        assert in_process(*MARKET, *output, "--until", day, *continued, environ=environ) == 0
    (live,) = store.load(tmp_path / "model.pkl").scorecard.simulated.values()
    assert [(score.horizon_hours, score.due) for score in live.hours] == [(1, 1), (6, 1), (24, 1)]
    assert [(*score.horizon, score.cutoffs) for score in live.touches] == [
        (1, "hour", 1),
        (6, "hour", 1),
        (24, "hour", 1),
        (1, "day", 1),
    ]


def test_too_few_hours_are_no_reason_to_have_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prices = price_file(tmp_path, 400)
    forecast, card = trained(tmp_path, *prices, "--rivals", "gaussian", "--every", "25", "--verbose")
    assert (forecast.hours, card.hours) == ((), ())
    assert card.no_hours is not None
    assert card.no_hours.endswith("has no hourly candles")
    assert f"has no forecast of hours: {card.no_hours[:20]}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("text", ["60d", "3651d", "1y", "-1"])
def test_hours_are_at_least_61_days_or_none(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        in_process(*MARKET, "--hours", text)
    assert "--hours" in capsys.readouterr().err


def test_pairs_of_a_source_share_nothing(tmp_path: Path) -> None:
    forecast, _ = trained(tmp_path, *MARKET, "--hours", "70d", "--until", "2024-05-16")
    (tmp_path / "both").mkdir()
    arguments = (*MARKET, "--pair", "ETH/USD,BTC/USD", "--hours", "70d", "--until", "2024-05-16", "--no-gate")
    assert in_process(*arguments, "--output", str(tmp_path / "both" / "model.pkl")) == 0
    both = store.load(tmp_path / "both" / "model.pkl").forecasts
    assert both[Pair("BTC", "USD")].hours == forecast.hours != both[Pair("ETH", "USD")].hours
