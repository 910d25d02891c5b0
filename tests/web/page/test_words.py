"""The forecast and the record in words: whole sentences, honest about losses and about small numbers."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.baked.evaluation import Evaluator
from crypto_predict.baked.models import Estimate
from crypto_predict.baked.schema import (
    Backtest,
    BrierScore,
    Confidence,
    LiveProbabilities,
    LiveRecord,
    Model,
    ProphetBacktest,
    ProphetScore,
    Score,
    Scorecard,
)
from crypto_predict.market import DAY, Pair
from crypto_predict.web.page import words
from tests.support.models import BTC, ETH, LAST, blank, make_forecast, make_model, with_models

SHARES = st.floats(0, 1)
RATIOS = st.none() | st.sampled_from([0.0, 0.9996, 1.0]) | st.floats(0, 3) | st.floats(0, 1e6)
P_VALUES = st.none() | st.floats(0, 1) | st.just(1.0)


def intervals(ends: st.SearchStrategy[float]) -> st.SearchStrategy[Confidence]:
    return st.tuples(ends, ends).map(lambda interval: Confidence(*sorted(interval)))


def scores(horizon: int) -> st.SearchStrategy[Score]:
    """The scores of one horizon: those of no, of few, and of many forecasts."""
    measured = {"coverage": intervals(SHARES), "relative_winkler": intervals(st.floats(0, 3))}
    return st.builds(
        partial(blank, Score, horizon_days=horizon),
        forecasts=st.integers(1, 4_000),
        coverage=SHARES,
        relative_mae=RATIOS,
        relative_winkler=RATIOS,
        p_value=P_VALUES,
        pit=st.just(()) | st.tuples(*[SHARES] * 10),
        pit_p_value=P_VALUES,
        confidence=st.fixed_dictionaries({}, optional=measured),
    )


@st.composite
def backtests(draw: st.DrawFn) -> Backtest:
    horizons = sorted(draw(st.sets(st.sampled_from([1, 7, 30, 90]), min_size=1)))
    cutoffs = draw(st.integers(1, 4_000))
    alone = [blank(ProphetScore, horizon_days=horizon, forecasts=cutoffs) for horizon in horizons]
    of_prophet = tuple(replace(score, relative_mae=draw(RATIOS), coverage=draw(SHARES)) for score in alone)
    prophet = draw(st.none() | st.just(blank(ProphetBacktest, scores=of_prophet)))
    return _backtest(*(draw(scores(horizon)) for horizon in horizons), prophet=prophet, cutoffs=cutoffs)


@st.composite
def live_records(draw: st.DrawFn) -> LiveRecord:
    due = draw(st.integers(0, 5_000))
    return _live(
        due=due,
        days=min(due, draw(st.integers(1, 400))),
        hindsight=draw(st.integers(0, due)),
        pending=draw(st.integers(0, 900)),
        overdue=draw(st.integers(0, 9)),
        relative_mae=draw(RATIOS) if due else None,
        coverage=draw(SHARES) if due else None,
        probabilities=draw(st.none() | asked()) if due else None,
    )


@st.composite
def asked(draw: st.DrawFn) -> LiveProbabilities:
    """Probabilities at round prices, of few or of many days."""
    questions, relative = draw(st.integers(1, 90_000)), draw(RATIOS)
    return LiveProbabilities(
        questions=questions,
        days=min(questions, draw(st.integers(1, 400))),
        uncertainty=0.25,
        ours=BrierScore(draw(SHARES), 0.01, 0.1),
        persistence=BrierScore(0.1, 0.01, 0.1),
        relative_brier=None if relative is None else Estimate(relative, None, None),
        tenths=(),
    )


def _backtest(*score: Score, **changes: Any) -> Backtest:
    fields: dict[str, Any] = {"first_cutoff": date(2018, 8, 16), "last_cutoff": LAST, "cutoffs": 2_511}
    backtest: Backtest = blank(Backtest, **{**fields, "scores": score, **changes})
    return backtest


def _score(horizon: int, **changes: Any) -> Score:
    """The scores of a calibrated forecast that is persistence."""
    fields: dict[str, Any] = {
        "forecasts": 2_500,
        "coverage": 0.81,
        "relative_mae": 1.0,
        "p_value": 1.0,
        "confidence": {"coverage": Confidence(0.78, 0.84)},
    }
    score: Score = blank(Score, horizon_days=horizon, **{**fields, **changes})
    return score


def _live(**fields: Any) -> LiveRecord:
    record: LiveRecord = blank(LiveRecord, since=datetime(2026, 5, 1, 6, tzinfo=UTC), **fields)
    return record


def _model(backtest: Backtest | None, live: LiveRecord | None = None, *, simulated: bool = False) -> Model:
    model = make_model(BTC, simulated=simulated)
    card = replace(model.card, pairs={BTC: replace(model.card.pairs[BTC], backtest=backtest)})
    records = {} if live is None else {BTC: live}
    scorecard = Scorecard(0, "0" * 64, pairs={} if simulated else records, simulated=records if simulated else {})
    return replace(model, card=card, scorecard=scorecard)


def said(backtest: Backtest | None, live: LiveRecord | None = None, *, simulated: bool = False) -> str:
    return " ".join(words.record(_model(backtest, live, simulated=simulated), BTC))


@given(backtest=st.none() | backtests(), live=st.none() | live_records(), simulated=st.booleans())
def test_a_record_is_whole_sentences(backtest: Backtest | None, live: LiveRecord | None, *, simulated: bool) -> None:
    """Whatever the figures: nobody reads 'nan', '1 days', or '104 of 100 times'."""
    model = _model(backtest, live, simulated=simulated)
    for paragraph in (*words.record(model, BTC), words.sure(model, BTC), words.good(model, BTC)):
        assert paragraph == paragraph.strip(), paragraph
        assert re.match("[A-Z]", paragraph), paragraph
        assert paragraph.endswith("."), paragraph
        for sentence in re.split(r"(?<=[.!?]) ", paragraph):
            assert len(sentence.split()) > 3, paragraph
        assert not re.search(r"\b(nan|inf|None|e\+?\d+)\b|  |\.\.|\(\)| ,|[( ]-\d", paragraph), paragraph
        assert not re.search(r"(?<![.,\d])1 (days|forecasts|times|tests|have|different)\b", paragraph), paragraph
        assert not re.search(r"\b(0|[2-9]|\d{2,}) (day|forecast)\b", paragraph), paragraph
        assert all(0 <= float(share) <= 100 for share in re.findall(r"([\d.,]+) %", paragraph)), paragraph
        assert all(0 <= float(share) <= 100 for share in re.findall(r"([\d.,]+) of 100", paragraph)), paragraph


@pytest.mark.parametrize(
    ("changes", "held"),
    [
        ({}, "81 of 100 times (78 to 84)"),
        ({"coverage": 0.9999, "confidence": {}}, "over 99 of 100 times"),
        ({"coverage": 0.0001, "confidence": {}}, "under 1 of 100 times"),
        ({"coverage": 1.0, "confidence": {}}, "100 of 100 times"),
    ],
)
def test_the_range_is_said_to_have_held_as_often_as_it_did(changes: dict[str, Any], held: str) -> None:
    """A range that once failed did not hold 100 of 100 times: only whole shares are called none or all."""
    assert f"It held {held} 1 day ahead." in said(_backtest(_score(1, **changes)))


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.6, 0.79, "It was too narrow 7 days ahead: the price left it more often than it should."),
        (0.81, 0.9, "It was wider than needed 7 days ahead."),
    ],
)
def test_a_range_that_is_off_by_more_than_chance_is_named(low: float, high: float, verdict: str) -> None:
    off = _score(7, confidence={"coverage": Confidence(low, high)})
    assert verdict in said(_backtest(_score(1), off))
    assert verdict not in said(_backtest(_score(1), _score(7)))


@pytest.mark.parametrize(
    ("relative_mae", "p_value", "verdict"),
    [
        (1.0, 1.0, 'no better than "the price stays as it is": its middle is that price'),
        (1.03, 0.4, 'no better than "the price stays as it is": its error was 3.0 % larger, which can be chance.'),
        (0.97, 0.4, 'no better than "the price stays as it is": its error was 3.0 % smaller, which can be chance.'),
        (0.97, 0.01, "better than that: its error was 3.0 % smaller."),
        (1.35, 0.01, "worse than that: its error was 35 % larger."),
        (5.41, 0.01, "worse than that: its error was 5.4 times as large."),
        (1e300, 0.01, "worse than that: its error was more than 100 times as large."),
    ],
)
def test_gains_and_losses_against_persistence_are_said_alike(relative_mae: float, p_value: float, verdict: str) -> None:
    text = said(_backtest(_score(7, relative_mae=relative_mae, p_value=p_value)))
    assert f"At 7 days the forecast was {verdict}" in text
    assert text.count("the forecast was") == 1


def test_horizons_with_the_same_verdict_share_a_sentence() -> None:
    unknown = _score(90, relative_mae=None, p_value=None)
    text = said(_backtest(_score(1), _score(7), _score(30, relative_mae=1.2, p_value=0.001), unknown))
    assert "At 1 and 7 days the forecast was no better than" in text
    assert "At 30 days the forecast was worse than that: its error was 20 % larger." in text
    assert "At 90 days they could not be compared" in text


def test_the_record_has_a_short_form() -> None:
    """For a reader who gives it ten seconds."""
    model = _model(_backtest(_score(1), _score(7, relative_mae=1.2, p_value=0.001), _score(30)))
    assert words.sure(model, BTC) == (
        "The 80 % range is meant to hold the price 80 of 100 times. In 2,500 tests on past prices it held 81 of 100 "
        "times (78 to 84), 1 day ahead."
    )
    assert words.good(model, BTC) == (
        'Compared with "the price stays as it is", on past prices: no better at 1 and 30 days and worse at 7 days.'
    )
    invented = _model(_backtest(_score(1)), simulated=True)
    assert "on invented prices" in words.sure(invented, BTC)
    assert "on invented prices" in words.good(invented, BTC)
    assert words.sure(_model(None), BTC) == words.good(_model(None), BTC)


def test_a_record_without_data_says_so() -> None:
    assert "too short for a backtest" in said(None)
    assert "no live record" in said(None)


VERDICT = re.compile("better|worse|smaller|larger|narrow|wide|as large|uneven|held [0-9]")


@pytest.mark.parametrize("count", [1, 30, 99])
def test_nothing_is_judged_in_words_by_fewer_than_100_outcomes(count: int) -> None:
    """They are counted, and it is said that it is too early."""
    few = _score(7, forecasts=count, p_value=0.001, relative_mae=0.5, pit=(0.1,) * 10, pit_p_value=0.5)
    alone = blank(ProphetScore, horizon_days=7, forecasts=count, relative_mae=2.0)
    model = _model(
        _backtest(few, prophet=blank(ProphetBacktest, scores=(alone,))),
        _live(due=4 * count, days=count, coverage=1.0, relative_mae=0.5),
    )
    said_of_it = [*words.record(model, BTC), words.summary(model, BTC), words.sure(model, BTC), words.good(model, BTC)]
    assert [line for line in said_of_it if VERDICT.search(line)] == []
    assert sum("too early" in line for line in said_of_it) == len(said_of_it) == 5
    assert f"7 days ahead there are only {count}: it is too early to judge by them." in said_of_it[0]
    assert f"{4 * count} have come due" in said_of_it[1]


def test_from_100_outcomes_on_there_is_a_verdict() -> None:
    enough = _score(7, forecasts=100, p_value=0.001, relative_mae=0.5)
    model = _model(_backtest(enough), _live(due=400, days=100, coverage=0.79, relative_mae=1.02))
    assert not any("too early" in line for line in words.record(model, BTC))
    assert words.good(model, BTC).endswith("better at 7 days.")
    assert words.summary(model, BTC) == (
        "Of 400 published forecasts the 80 % range held 79 of 100, and their error was 2.0 % larger than that of "
        '"the price stays as it is".'
    )


def test_until_published_forecasts_count_the_summary_is_that_of_the_backtest() -> None:
    tests = (
        "In 2,500 tests on past prices, 1 day ahead, the 80 % range held 81 of 100 times, and its middle was no better "
        'than "the price stays as it is".'
    )
    backtest = _backtest(_score(1, relative_mae=1.0, p_value=1.0))
    assert words.summary(_model(backtest), BTC) == f"So far there is no published outcome: too early to judge. {tests}"
    assert words.summary(_model(backtest, _live(due=40, days=12, coverage=0.8)), BTC) == (
        f"So far there are 40 published forecasts with an outcome: too early to judge. {tests}"
    )


@pytest.mark.parametrize(
    ("low", "high", "relative", "verdict"),
    [
        (0.89, 0.93, 0.914, "better 7 days ahead (by 8.6 %)"),
        (1.01, 1.2, 1.12, "worse 7 days ahead (by 12 %)"),
        (0.9, 1.1, 0.99, "neither better nor worse 7 days ahead"),
    ],
)
def test_ranges_are_compared_with_those_of_persistence(low: float, high: float, relative: float, verdict: str) -> None:
    measured = _score(7, relative_winkler=relative, confidence={"relative_winkler": Confidence(low, high)})
    assert f"it was {verdict} than the range" in said(_backtest(measured))
    assert "Winkler" not in said(_backtest(_score(7)))


def test_uneven_tenths_are_named() -> None:
    even = _score(1, pit=(0.1,) * 10, pit_p_value=0.9)
    uneven = _score(90, pit=(0.05, 0.2, *[0.09375] * 8), pit_p_value=0.002)
    assert "The tenths caught 10 to 10 (1 day ahead): no more uneven than chance" in said(_backtest(even))
    text = said(_backtest(even, uneven))
    assert "The tenths caught 5 to 20 (90 days ahead): more uneven than chance makes them." in text
    assert "At 1 day nothing speaks against it." in text


def test_the_record_of_prophet_and_of_published_forecasts_stand_beside_that_of_the_backtest() -> None:
    alone = (blank(ProphetScore, horizon_days=1, forecasts=2_500, relative_mae=5.41, coverage=0.78),)
    live = _live(due=412, days=140, coverage=0.79, relative_mae=1.02, hindsight=3, overdue=1)
    *_, prophet, published = words.record(
        _model(_backtest(_score(1), prophet=blank(ProphetBacktest, scores=alone)), live), BTC
    )
    assert prophet == (
        'Prophet alone, at 1 day: its error was 5.41 times that of "the price stays as it is"; its own 80 % range held '
        "78 of 100 times."
    )
    assert published == (
        "The published forecasts: 412 have come due since 2026-05-01, for 140 different days; the 80 % range held 79 "
        'of 100 times. Their error was 2.0 % larger than that of "the price stays as it is". Of them 3 were made in '
        "hindsight, from a history that was cut off. 1 more lacks its outcome, because the source has no candle of "
        "that day."
    )
    assert "none of 30 forecasts has come due since 2026-05-01" in said(_backtest(_score(1)), _live(pending=30))


def test_invented_prices_are_called_invented_before_any_figure() -> None:
    """And their record is that of the invented prices alone."""
    live = _live(due=412, days=140, coverage=0.5)
    model = _model(_backtest(_score(1)), live, simulated=True)
    assert words.record(model, BTC)[0] == words.INVENTED
    assert "held 50 of 100 times" in words.record(model, BTC)[-1]
    assert "invented" in words.forecast(model, BTC)
    assert "invented" not in said(_backtest(_score(1)), live)
    hidden = replace(model, scorecard=replace(model.scorecard, simulated={}, pairs={BTC: live}))
    assert "held 50 of 100 times" not in words.record(hidden, BTC)[-1]


def test_a_default_that_is_not_ours_is_judged_by_its_own_scores() -> None:
    """The page says whose forecast it shows, and why it is not the one that was chosen."""
    model = with_models(make_model(BTC), "mine", served="mine")
    ours = with_models(make_model(BTC), "mine")
    facts = replace(ours.card.pairs[BTC], not_served="mine was worse than persistence at 1 day")
    assert words.served(model.card.pairs[BTC]) == (
        "The default is the model mine: this page and the API answer with its forecast."
    )
    assert words.served(ours.card.pairs[BTC]) == ""
    assert words.served(facts) == (
        "The default is combined, not the model that was chosen: mine was worse than persistence at 1 day."
    )
    assert words.sure(model, BTC).startswith("Its 80 % range held 80 of 100 times (77 to 85) 1 day ahead, ")
    assert words.good(model, BTC).startswith("On past prices: mine ")
    middle = Evaluator(model.forecasts[BTC]).at(LAST + DAY, "mine").price
    assert f"about ${middle:,.0f}" in words.forecast(model, BTC)


def test_another_model_is_described_beside_persistence_and_the_default() -> None:
    facts = with_models(make_model(BTC), "mine").card.pairs[BTC]
    text = words.of_model(facts, "mine")
    assert "mine is better than combined at 1 day (by 2.0 %)." in text
    assert "Its 80 % range held 80 of 100 times (77 to 85) 1 day ahead" in text
    assert words.of_model(facts, "broken") == "broken has not been scored: the history is too short."
    alone = replace(facts, backtest=_backtest(prophet=blank(ProphetBacktest, words="Prophet alone: error 4.88")))
    assert words.of_model(alone, "prophet") == "Prophet alone: error 4.88"


def test_the_forecast_is_one_sentence_with_the_prices_of_the_model() -> None:
    predicted = Evaluator(make_forecast()).at(LAST + DAY)
    assert words.forecast(make_model(BTC), BTC) == (
        f"Bitcoin at the end of 2024-05-18 (UTC): about ${predicted.price:,.0f}, and four times out of five between "
        f"${predicted.low:,.0f} and ${predicted.high:,.0f}."
    )


def test_nothing_is_impossible_or_certain() -> None:
    """A fall by a fifth in a day has a probability that rounds to 0, and did happen."""
    shares = (0.0, 1e-9, 0.004, 0.006, 0.09, 0.994, 1.0)
    texts = ("under 1", "under 1", "under 1", "1", "9", "99", "over 99")
    assert [words.likely(share) for share in shares] == [f"{text} of 100" for text in texts]


def test_cheap_coins_keep_their_digits_and_unknown_ones_are_called_by_their_symbols() -> None:
    assert words.price(0.0001234, "USDT", 8) == "0.00012340 USDT"
    assert words.price(107_146.5, "USD", 2) == "$107,146.50"
    assert [words.name(pair) for pair in (BTC, ETH, Pair("WXYZ", "USD"))] == ["Bitcoin", "Ethereum", "WXYZ"]


def test_probabilities_at_round_prices_are_judged_once_there_are_100_days() -> None:
    """Thousands of questions about a few days err together."""
    asked = LiveProbabilities(
        2_400, 99, 0.25, BrierScore(0.101, 0.0, 0.1), BrierScore(0.11, 0.0, 0.1), Estimate(0.918, 0.9, 0.94), ()
    )
    live = _live(due=2_400, days=120, coverage=0.8, relative_mae=1.0, probabilities=asked)
    assert "round price" not in said(None, live)
    expected = (
        "2,400 questions about 100 different days were answered by the published forecasts. The mean squared error of "
        'the answers (the Brier score) was 0.101: 8.2 % smaller than that of "the price stays as it is" with the ups '
        "and downs of the past year."
    )
    assert expected in said(None, replace(live, probabilities=replace(asked, days=100)))
