"""The forecast and the record of a pair as sentences, for a reader who is not a statistician.

A term is defined where a reader meets it first: range, confidence interval, persistence, calibration. Losses are worded
like gains. A verdict needs at least 100 outcomes; better or worse than persistence also needs a p value below 0.05, as
in the words of the model card. Functions of a model and a pair raise `KeyError` if the model does not have the pair.
"""

import math
import re
from collections.abc import Iterator, Sequence

from crypto_predict.baked.evaluation import COMBINED, PROPHET, Evaluator
from crypto_predict.baked.models import ModelReport, ModelScore
from crypto_predict.baked.schema import (
    COVERAGE,
    LEAST_DIFFERENCE,
    SIGNIFICANCE,
    Backtest,
    LiveProbabilities,
    LiveRecord,
    Model,
    PairCard,
    ProphetScore,
    Score,
    Verdict,
)
from crypto_predict.baked.schema import verdict as judge
from crypto_predict.market import DAY, Pair, price_decimals
from crypto_predict.web.model.risk import Risk, in_words
from crypto_predict.web.page.comparison import LEAST, STAYS, beside, beside_persistence, percent, sentence
from crypto_predict.web.page.hindcasts import Fan
from crypto_predict.wording import counted, days_listed, listed

NAMES = {
    "ADA": "Cardano",
    "AVAX": "Avalanche",
    "BCH": "Bitcoin Cash",
    "BNB": "BNB",
    "BTC": "Bitcoin",
    "DOGE": "Dogecoin",
    "DOT": "Polkadot",
    "ETH": "Ethereum",
    "LINK": "Chainlink",
    "LTC": "Litecoin",
    "SHIB": "Shiba Inu",
    "SOL": "Solana",
    "TRX": "TRON",
    "UNI": "Uniswap",
    "XRP": "XRP",
}
INVENTED = (
    "These prices are invented: no exchange was asked. The figures describe a simulated market and say nothing about a "
    "real one."
)

_UNMEASURED = "The history is too short for a backtest, so nothing was measured on past prices."
_EQUAL = f"the forecast was no better than {STAYS}"
# The verdicts on errors that are compared with persistence, in short and in whole.
_VERDICTS = {
    Verdict.BETTER: ("better", "the forecast was better than that: {errors}"),
    Verdict.WORSE: ("worse", "the forecast was worse than that: {errors}"),
    Verdict.SAME: ("no better", f"{_EQUAL}: {{errors}}, which can be chance"),
    Verdict.PERSISTENCE: ("no better", f"{_EQUAL}: its middle is that price, because no method did better on the past"),
    Verdict.UNKNOWN: ("not comparable", "they could not be compared: too few forecasts, or a price that never moved"),
}
_MOST_TIMES = 100  # the largest ratio of errors in words
_LEAST_SHARE = 1e-6  # of a probability, whose digits end there
_NOMINAL = f"{100 * COVERAGE:.0f}"  # percent


def name(pair: Pair) -> str:
    """Return the name of what is traded: ``Bitcoin``; its symbol if it has no well-known name."""
    return NAMES.get(pair.base, pair.base)


def source(identifier: str, pair: Pair) -> str:
    """Return the name of a source of a pair's prices: ``Binance``, ``the file SOL.csv``."""
    within = identifier.removeprefix("store:")
    if within.startswith("file:"):
        file = re.split(r"[/\\]", within.removeprefix("file:").rstrip("/\\"))[-1]
        title = f"the file {file}".replace("{base}", pair.base).replace("{quote}", pair.quote)
    else:
        title = "simulated prices" if within == "simulated" else _capital(within)
    return title if within == identifier else f"what this server has collected from {title}"


def price(amount: float, quote: str, decimals: int) -> str:
    """Format a price: ``$107,147``, ``107,147 USDT``."""
    return f"${amount:,.{decimals}f}" if quote == "USD" else f"{amount:,.{decimals}f} {quote}"


def decimals_of_range(close: float) -> int:
    """Return the decimals of the forecast in words and in its table: cents of a range of thousands say nothing."""
    return 0 if close >= 1_000 else 2 if close >= 10 else price_decimals(close)


def forecast(model: Model, pair: Pair) -> str:
    """Return the forecast of a pair for the day after its last daily candle in one sentence."""
    baked, card = model.forecasts[pair], model.card.pairs[pair]
    day, decimals = baked.last + DAY, decimals_of_range(baked.last_close)
    middle, low, high = (price(amount, pair.quote, decimals) for amount in Evaluator(baked).at(day, card.served))
    invented = " The prices are invented." if card.simulated else ""
    return (
        f"{name(pair)} at the end of {day} (UTC): about {middle}, and four times out of five between {low} and "
        f"{high}.{invented}"
    )


def sure(model: Model, pair: Pair) -> str:
    """Return in a sentence or two how often the range of the nearest horizon held in the backtest."""
    if report := _other_default(model.card.pairs[pair]):
        return _coverage(report)
    scores = _scores(model, pair)
    if not scores:
        return _UNMEASURED
    score = scores[0]
    tests = f"{counted(score.forecasts, 'test')} on {_past(model, pair)} prices"
    meant = f"The {_NOMINAL} % range is meant to hold the price {_NOMINAL} of 100 times."
    if score.forecasts < LEAST:
        return f"{meant} After {tests}, {_ahead([score])}, it is too early to say how often it does."
    return f"{meant} In {tests} it held {_share(score)}, {_ahead([score])}."


def good(model: Model, pair: Pair) -> str:
    """Return in a sentence or two how the forecast compares with persistence, at every horizon of the backtest."""
    if report := _other_default(model.card.pairs[pair]):
        return f"On {_past(model, pair)} prices: {sentence(report.name, STAYS, beside_persistence(report))}"
    scores = _scores(model, pair)
    if not scores:
        return _UNMEASURED
    verdicts = _by_verdict(_judged(scores), 0)
    if early := [score for score in scores if score.forecasts < LEAST]:
        most = max(score.forecasts for score in early)
        verdicts[f"too early to say, after {counted(most, 'test')} at most,"] = early
    parts = [f"{verdict} at {_days(judged)}" for verdict, judged in verdicts.items()]
    return f"Compared with {STAYS}, on {_past(model, pair)} prices: {listed(parts)}."


def served(card: PairCard) -> str:
    """Return which model answers by default, if that needs a word; empty if it is ours, as nobody has changed."""
    if card.not_served is not None:
        return f"The default is {card.served}, not the model that was chosen: {card.not_served.rstrip('.')}."
    if card.served == COMBINED:
        return ""
    return f"The default is the model {card.served}: this page and the API answer with its forecast."


def of_model(card: PairCard, name: str) -> str:
    """Return how good one model has been in the backtest: beside persistence, beside the default, and its range."""
    report = next((report for report in card.models if report.name == name and report.scores), None)
    if report is None:
        if name == PROPHET and card.backtest and card.backtest.prophet:
            return card.backtest.prophet.words
        return f"{name} has not been scored: the history is too short."
    with_default = sentence(name, card.served, beside(card.pairwise, name, card.served))
    return " ".join(filter(None, (sentence(name, STAYS, beside_persistence(report)), with_default, _coverage(report))))


def losses(risk: Risk, days: int) -> str:
    """Return the loss in some days that 5 of 100 outcomes exceed, and the mean beyond it, in one sentence."""
    invented = " The prices are invented." if risk.simulated else ""
    return (
        in_words(name(risk.pair), f"in {days_listed([days])}", risk.value_at_risk[-1:], risk.expected_shortfall[-1:])
        + invented
    )


def likely(share: float) -> str:
    """Format a probability: ``9 of 100``, ``under 1 of 100``; nothing is impossible or certain."""
    return f"{_of_100(min(max(share, _LEAST_SHARE), 1 - _LEAST_SHARE))} of 100"


def fans(past: Sequence[Fan]) -> str:
    """Return how many of the fans of the past held the price, and how many closes on the way; empty without fans."""
    if not past:
        return ""
    held, days = [fan.inside() for fan in past], counted(len(past[-1].moves), "day")
    closes = [inside for fan in held for inside in fan]
    count = sum(inside[-1] for inside in held)
    return (
        f"{count} of {len(past)} inside: that many closes {days} after a forecast were in its {_NOMINAL} % range, "
        f"which is meant to hold about {COVERAGE * len(past):.0f}. On the way there it held {sum(closes):,} of "
        f"{counted(len(closes), 'close')}. Each forecast was made from the prices up to its day alone."
    )


def _other_default(card: PairCard) -> ModelReport | None:
    """Return the report of the default model if that is not ours."""
    return next((report for report in card.models if report.name == card.served != COMBINED), None)


def _coverage(report: ModelReport) -> str:
    """Return how often the range of a model held."""

    def share(score: ModelScore) -> str:
        low, high = score.coverage_80.low, score.coverage_80.high
        bracket = "" if low is None or high is None else f" ({_of_100(low)} to {_of_100(high)})"
        return f"{_of_100(score.coverage_80.value)} of 100 times{bracket} {days_listed([score.horizon_days])} ahead"

    scores = [score for score in report.scores if score.forecasts >= LEAST]
    if not scores:
        return f"It is too early to say how often its {_NOMINAL} % range holds."
    return f"Its {_NOMINAL} % range held {listed(list(map(share, scores)))}."


def _scores(model: Model, pair: Pair) -> Sequence[Score]:
    """Return the scores of a pair's backtest, the nearest horizon first; none if it was not tested."""
    backtest = model.card.pairs[pair].backtest
    return backtest.scores if backtest is not None else ()


def _past(model: Model, pair: Pair) -> str:
    return "invented" if model.card.pairs[pair].simulated else "past"


def summary(model: Model, pair: Pair) -> str:
    """Return the record in one sentence: of the published forecasts, or of the backtest until these count."""
    live, nominal = model.live_record(pair), f"the {_NOMINAL} % range"
    if live and live.days >= LEAST and live.coverage is not None:
        error = "" if live.relative_mae is None else f", and their error was {_than(live.relative_mae)}"
        return f"Of {live.due:,} published forecasts {nominal} held {_of_100(live.coverage)} of 100{error}."
    due = f"{counted(live.due, 'published forecast')} with an outcome" if live and live.due else "no published outcome"
    start = f"So far there {'are' if live and live.due > 1 else 'is'} {due}: too early to judge"
    scores = _judged(_scores(model, pair))
    if not scores:
        return f"{start}."
    (verdict,) = _by_verdict(scores[:1], 0)
    middle = f"its middle was {verdict} {'with' if verdict == _VERDICTS[Verdict.UNKNOWN][0] else 'than'} {STAYS}"
    tests = f"In {scores[0].forecasts:,} tests on {_past(model, pair)} prices, {_ahead(scores[:1])}"
    return f"{start}. {tests}, {nominal} held {_of_100(scores[0].coverage)} of 100 times, and {middle}."


def record(model: Model, pair: Pair) -> list[str]:
    """Return how good the forecasts have been, in the backtest and as published: one to a dozen paragraphs."""
    card = model.card.pairs[pair]
    tested = _backtest(card.backtest) if card.backtest and card.backtest.scores else [_UNMEASURED]
    other = [f"This record is that of combined, ours; the table of all models has that of {card.served}, the default."]
    return [
        *([INVENTED] if card.simulated else []),
        *(other if card.served != COMBINED else []),
        *tested,
        *_live(model.live_record(pair)),
    ]


def _backtest(backtest: Backtest) -> Iterator[str]:
    few = [score for score in backtest.scores if score.forecasts < LEAST]
    small = listed([f"{_ahead([score])} there are only {score.forecasts:,}" for score in few])
    yield (
        f"The backtest: {counted(backtest.cutoffs, 'time')} from {backtest.first_cutoff} to {backtest.last_cutoff} a "
        "forecast was made as it would have been made on that day, from no later prices, and compared with what "
        f"happened.{f' {_capital(small)}: it is too early to judge by them.' if few else ''}"
    )
    if scores := _judged(backtest.scores):
        yield from filter(None, (_held(scores), _compared(scores), _ranges(scores), _calibration(scores)))
    if backtest.prophet and (alone := [score for score in backtest.prophet.scores if score.forecasts >= LEAST]):
        yield _prophet(alone)


def _judged(scores: Sequence[Score]) -> list[Score]:
    return [score for score in scores if score.forecasts >= LEAST]


def _by_verdict(scores: Sequence[Score], form: int) -> dict[str, list[Score]]:
    """Return the scores by the verdict on each, in one of the forms of `_VERDICTS`."""
    groups: dict[str, list[Score]] = {}
    for score in scores:
        groups.setdefault(_VERDICTS[judge(score.relative_mae, score.p_value)][form], []).append(score)
    return groups


def _held(scores: Sequence[Score]) -> str:
    """Return how often the range held (the coverage)."""
    measured = [(score, score.confidence["coverage"]) for score in scores if "coverage" in score.confidence]
    narrow = [score for score, interval in measured if interval.high < COVERAGE]
    wide = [score for score, interval in measured if interval.low > COVERAGE]
    meant = f"is meant to hold the outcome {_NOMINAL} of 100 times (its coverage)"
    shares = listed([f"{_share(score)} {_ahead([score])}" for score in scores])
    sentences = [f"The {_NOMINAL} % range, from the low to the high price of a forecast, {meant}. It held {shares}."]
    if measured:
        sentences.append(
            "In brackets stands the 95 % confidence interval: the past is short, and the true figure can be anywhere "
            "in it."
        )
    if narrow:
        sentences.append(f"It was too narrow {_ahead(narrow)}: the price left it more often than it should.")
    if wide:
        sentences.append(f"It was wider than needed {_ahead(wide)}.")
    return " ".join(sentences)


def _compared(scores: Sequence[Score]) -> str:
    """Return how the errors compare with those of persistence."""
    groups = _by_verdict(scores, 1)
    sentences = [f"The simplest forecast is {STAYS} (persistence), and it is hard to beat."]
    for group, verdict in ((groups[verdict], verdict) for _, verdict in _VERDICTS.values() if verdict in groups):
        errors = listed([_difference(score.relative_mae or 0.0) for score in group])
        sentences.append(f"At {_days(group)} {verdict.format(errors=f'its error was {errors}')}.")
    return " ".join(sentences)


def _difference(relative: float) -> str:
    """Format a ratio of errors: ``2.1 % smaller``, ``35 % larger``, ``5.4 times as large``."""
    if relative >= _MOST_TIMES:
        return f"more than {_MOST_TIMES} times as large"
    if relative >= 2:
        return f"{relative:.1f} times as large"
    if abs(1 - relative) < LEAST_DIFFERENCE:
        return "just as large"
    return f"{percent(relative)} {'smaller' if relative < 1 else 'larger'}"


def _than(relative: float) -> str:
    """Format a ratio of errors to that of persistence: ``2.1 % smaller than that of "the price stays as it is"``."""
    error = _difference(relative)
    return f"{error} {'as' if error.endswith('as large') else 'than'} that of {STAYS}"


def _ranges(scores: Sequence[Score]) -> str:
    """Return how the ranges compare with persistence's; empty if that was not measured."""
    key = "relative_winkler"
    measured = [score for score in scores if score.relative_winkler is not None and key in score.confidence]
    if not measured:
        return ""
    better = [score for score in measured if score.confidence[key].high < 1]
    worse = [score for score in measured if score.confidence[key].low > 1]
    same = [score for score in measured if score not in better and score not in worse]
    verdicts = [
        f"{word} {_ahead(group)} (by {listed([percent(score.relative_winkler or 0.0) for score in group])})"
        for word, group in (("better", better), ("worse", worse))
        if group
    ]
    verdicts += [f"neither better nor worse {_ahead(same)}"] if same else []
    return (
        "A good range is narrow and holds all the same. By that measure (the Winkler score) it was "
        f"{listed(verdicts)} than the range that follows from the past year's ups and downs alone."
    )


def _calibration(scores: Sequence[Score]) -> str:
    """Return whether outcomes were as frequent as forecast, from their shares in each tenth of the distribution."""
    tested = [(score, score.pit_p_value) for score in scores if score.pit and score.pit_p_value is not None]
    if not tested:
        return ""
    uneven = [score for score, p_value in tested if p_value < SIGNIFICANCE]
    even = [score for score, p_value in tested if p_value >= SIGNIFICANCE]
    shares = [f"{_of_100(min(score.pit))} to {_of_100(max(score.pit))} ({_ahead([score])})" for score in uneven or even]
    meant = (
        "Calibration: what is given a probability of 10 % should come about 10 of 100 times, so each tenth of the "
        "forecast should catch 10 of 100 outcomes."
    )
    rest = f" At {_days(even)} nothing speaks against it." if uneven and even else ""
    more = "more" if uneven else "no more"
    return f"{meant} The tenths caught {listed(shares)}: {more} uneven than chance makes them.{rest}"


def _prophet(scores: Sequence[ProphetScore]) -> str:
    errors = {score.horizon_days: score.relative_mae for score in scores if score.relative_mae is not None}
    coverage = f"its own {_NOMINAL} % range held {listed([_of_100(score.coverage) for score in scores])} of 100 times"
    horizons = days_listed([score.horizon_days for score in scores])
    if not errors:
        return f"Prophet alone, at {horizons}: {coverage}."
    times = [f"over {_MOST_TIMES}" if error >= _MOST_TIMES else f"{max(error, 0.0):.2f}" for error in errors.values()]
    compared = f"its error was {listed(times)} times that of {STAYS}"
    if len(errors) < len(scores):
        compared += f" (at {days_listed(list(errors))})"
    return f"Prophet alone, at {horizons}: {compared}; {coverage}."


def _live(live: LiveRecord | None) -> Iterator[str]:
    if live is None:
        yield "No forecast of this pair has been published yet, so there is no live record."
        return
    since = f"since {live.since.date()}"
    if not live.due:
        waiting = f"none of {counted(live.pending, 'forecast')} has" if live.pending else "none has"
        yield f"The published forecasts: {waiting} come due {since}. Until then the backtest is all there is."
        return
    different = "one day" if live.days == 1 else f"{live.days:,} different days"
    come = f"{live.due:,} {'has' if live.due == 1 else 'have'} come due {since}, for {different}"
    if live.days < LEAST:
        sentences = [f"The published forecasts: {come}: it is too early to judge by them."]
    else:
        coverage = (
            "" if live.coverage is None else f"; the {_NOMINAL} % range held {_of_100(live.coverage)} of 100 times"
        )
        missing = f"They could not be compared with {STAYS}, which made no error."
        error = missing if live.relative_mae is None else f"Their error was {_than(live.relative_mae)}."
        sentences = [f"The published forecasts: {come}{coverage}.", error]
    if live.hindsight:
        were = "was" if live.hindsight == 1 else "were"
        sentences.append(f"Of them {live.hindsight:,} {were} made in hindsight, from a history that was cut off.")
    if live.overdue:
        lack = "lacks its outcome" if live.overdue == 1 else "lack their outcome"
        sentences.append(f"{live.overdue:,} more {lack}, because the source has no candle of that day.")
    yield " ".join(sentences)
    if live.probabilities and live.probabilities.days >= LEAST:
        yield _probabilities(live.probabilities)


def _probabilities(asked: LiveProbabilities) -> str:
    """Return how good the published probabilities were at round prices."""
    if asked.relative_brier is None:
        compared = f"it could not be compared with {STAYS}, which made no error"
    else:
        compared = f"{_than(asked.relative_brier.value)} with the ups and downs of the past year"
    return (
        f"The chance of a close above a round price: {counted(asked.questions, 'question')} about "
        f"{counted(asked.days, 'different day')} were answered by the published forecasts. The mean squared error of "
        f"the answers (the Brier score) was {asked.ours.brier:.3f}: {compared}."
    )


def _of_100(share: float) -> str:
    """Format a share as a count of 100: ``81``, ``over 99``, ``under 1``; 0 and 100 are never rounded to."""
    share = min(max(share, 0.0), 1.0)
    if 0 < share < 0.005:
        return "under 1"
    return "over 99" if 0.995 <= share < 1 else f"{math.floor(100 * share + 0.5)}"


def _share(score: Score) -> str:
    """Format how often the range held: ``81 of 100 times (78 to 84)``."""
    interval = score.confidence.get("coverage")
    bracket = f" ({_of_100(interval.low)} to {_of_100(interval.high)})" if interval else ""
    return f"{_of_100(score.coverage)} of 100 times{bracket}"


def _days(scores: Sequence[Score]) -> str:
    return days_listed([score.horizon_days for score in scores])


def _ahead(scores: Sequence[Score]) -> str:
    return f"{_days(scores)} ahead"


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
