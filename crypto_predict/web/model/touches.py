"""Whether a price is touched until some time, or the price stays within limits, and how often such answers hold."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import COMBINED
from crypto_predict.baked.schema import PairCard
from crypto_predict.baked.touches import TENTHS, TouchScore, stay
from crypto_predict.market import Pair
from crypto_predict.market.forecast import HOURS_AHEAD
from crypto_predict.web.http.problems import BadParameter
from crypto_predict.web.model.answers import FORECAST, Row, Series, closing
from crypto_predict.wording import counted

_DECIMALS = 6  # of a probability
# What is measured, before the horizon, and that it came about.
_TOUCHED, _HELD = ("prices said to be touched within", "were"), ("corridors said to hold the price for", "did")


@dataclass(frozen=True, slots=True)
class TouchCalibration:
    """How often what was as probable came about out of sample, at the horizon nearest to the question.

    It is of prices that are touched, or of corridors in which the price stays.
    """

    horizon_days: int | None  # of the backtest of days
    horizon_hours: int | None  # of that of hours
    at_least: float  # the tenth of probability
    below: float
    questions: int  # whose answer was in this tenth
    said: float  # their mean probability
    came: float  # the share that came about
    brier: float  # mean squared error of all probabilities at this horizon
    brier_reflection: float  # of the rule that a touch is twice as probable as a close beyond the price


@dataclass(frozen=True, slots=True)
class Border:
    """A price that is touched or not."""

    price: float
    touched: float  # the probability that it is touched
    calibration: TouchCalibration | None  # None where nothing was measured, and for a price that was reached at once


@dataclass(frozen=True, slots=True)
class Happened:
    """The prices of a day that has passed."""

    day: date
    low: float
    high: float


class Touch(NamedTuple):
    """A question: whether a price is touched, or else the price stays above and below others, as far as given."""

    price: float | None
    above: float | None
    below: float | None

    @property
    def limits(self) -> list[float]:
        """Return the prices that it asks for."""
        return [limit for limit in self if limit is not None]

    def in_words(self, touches: str, stays: str) -> str:
        """Return what is asked for after one of two verbs: ``touches 70,000``, ``stays above 60,000``."""
        if self.price is not None:
            return f"{touches} {_price(self.price)}"
        limits = (("above", self.above), ("below", self.below))
        return f"{stays} {' and '.join(f'{word} {_price(limit)}' for word, limit in limits if limit is not None)}"


class Answer(NamedTuple):
    """A probability with what it rests on."""

    probability: float
    known: bool  # whether it is no forecast: what happened, or the newest price, decides it
    borders: tuple[Border, ...]
    corridor: TouchCalibration | None  # of staying between two prices; None where nothing was measured
    happened: Happened | None
    words: str  # the answer in a sentence
    measured: tuple[str, ...]  # how such answers came about, in sentences; none if nothing was measured


def answer_to(question: Touch, pair: Pair, series: Series, row: Row, facts: PairCard) -> Answer:
    """Return the answer about the time until `row`; of a day that has passed, what happened on it.

    Raises:
        BadParameter: That time has passed, and it has no candle.
    """
    if row.provenance.kind != FORECAST:
        return _known(question, pair, series, row.moment)
    extremes, hours = series.extremes, series.hours(row.moment)
    asked = series.horizon(row.moment) if hours is None else hours / HOURS_AHEAD
    touched = [extremes.touched(row.moment, limit) for limit in question.limits]
    is_decided = series.newest_price == question.price or not extremes.contains(question.above, question.below)
    if question.price is not None:
        (probability,) = touched
    else:
        probability = 0.0 if is_decided else stay(*touched)
    borders = tuple(
        Border(limit, round(share, _DECIMALS), _calibration(facts.touches, asked, share))
        for limit, share in zip(question.limits, touched, strict=True)
    )
    corridor, what, calibrations = None, _TOUCHED, [border.calibration for border in borders]
    if is_decided:
        calibrations = []  # nothing that was measured bears on it
    elif len(borders) > 1:
        corridor = _calibration(facts.corridors, asked, probability)
        what, calibrations = _HELD, [corridor]
    measured = dict.fromkeys(_measured(calibrations, what, series, row.moment))
    words = _in_words(question, pair, series, row.moment, probability)
    return Answer(probability, is_decided, borders, corridor, None, words, tuple(measured))


def _known(question: Touch, pair: Pair, series: Series, moment: date | datetime) -> Answer:
    """Return what happened on a day of the past, or on the day of an instant of the past."""
    day = (moment - timedelta(microseconds=1)).date() if isinstance(moment, datetime) else moment
    prices = series.day_range(day)
    if prices is None:
        raise BadParameter("date", f"{_no_candle(series, moment, day)}, so nobody knows what was touched on it")
    low, high = prices
    if question.price is not None:
        happened = low <= question.price <= high
    else:
        stays_above, stays_below = question.above is None or question.above < low, question.below is None
        happened = stays_above and (stays_below or high < (question.below or 0.0))
    borders = tuple(Border(limit, float(low <= limit <= high), None) for limit in question.limits)
    said = question.in_words("touched", "stayed") if happened else question.in_words("did not touch", "did not stay")
    known = f"{day}, of which the whole day is known" if isinstance(moment, datetime) else f"{day}"
    words = f"{pair} {said} on {known}: the price was between {_price(low)} and {_price(high)}."
    return Answer(float(happened), True, borders, None, Happened(day, low, high), words, ())


def _no_candle(series: Series, moment: date | datetime, day: date) -> str:
    if day > series.last_candle:
        newest = plain.encode(series.newest)
        state = "its candle is newer than the model" if closing(day) <= series.newest else "the day has not closed"
        return f"{plain.encode(moment)} has passed, as the newest price is of {newest}, and {state}"
    return f"{day} has no candle"


def _calibration(scores: Iterable[TouchScore], horizon: float, probability: float) -> TouchCalibration | None:
    """Return how often what has this probability came about, at the measured horizon nearest to one in days."""
    score = min(scores, key=lambda score: abs(score.days - horizon), default=None)
    if score is None or probability == 1:
        return None
    place = min(int(probability * TENTHS), TENTHS - 1)
    tenth = score.tenths[place]
    return TouchCalibration(
        horizon_days=score.horizon_days,
        horizon_hours=score.horizon_hours,
        at_least=place / TENTHS,
        below=(place + 1) / TENTHS,
        questions=tenth.questions,
        said=tenth.said,
        came=tenth.came,
        brier=score.brier,
        brier_reflection=score.brier_reflection,
    )


def _measured(
    calibrations: Iterable[TouchCalibration | None], what: tuple[str, str], series: Series, moment: date | datetime
) -> Iterator[str]:
    """Yield how often `what` came about, in words."""
    asked_of, came_about = what
    for calibration in calibrations:
        if calibration is None:
            continue
        if calibration.horizon_hours is not None:
            measured, unit, asked = calibration.horizon_hours, "hour", series.hours(moment) or 0.0
        else:
            measured, unit, asked = calibration.horizon_days or 0, "day", series.horizon(moment)
        tenth = f"{100 * calibration.at_least:.0f} to {100 * calibration.below:.0f} %"
        nearest = "" if measured == asked else f"; nothing nearer to {asked:.4g} {unit}s was measured"
        model = "" if series.model == COMBINED else f" by the model {COMBINED}, whose curve this answer uses"
        said = f"{asked_of} {counted(measured, unit)} with a probability of {tenth}{model}"
        if not calibration.questions:
            yield f"Out of sample there were no {said}{nearest}."
        else:
            came = f"{100 * calibration.came:.1f} % of {calibration.questions:,} {said}"
            yield f"Out of sample {came} {came_about}{nearest}."


def _in_words(question: Touch, pair: Pair, series: Series, moment: date | datetime, probability: float) -> str:
    """Return the answer in words, which never promise certainty."""
    newest = f"the newest price, of {plain.encode(series.newest)}, is {_price(series.newest_price)}"
    if question.price == series.newest_price:
        return f"{pair} {question.in_words('touches', '')}: {newest}."
    if question.price is None and not series.extremes.contains(question.above, question.below):
        return f"Probability 0: {pair} does not {question.in_words('', 'stay')}, as {newest}."
    by = "by" if question.price is not None else "until"
    until = by if isinstance(moment, datetime) else f"{by} the close of"
    asked = question.in_words("touches", "stays")
    return f"Probability {share_in_words(probability)}: {pair} {asked} {until} {plain.encode(moment)}."


def share_in_words(probability: float) -> str:
    """Return a probability in whole percent; none is certain."""
    share = "above 99.5 %" if probability > 0.995 else f"{100 * probability:.0f} %"
    return "below 0.5 %" if probability < 0.005 else share


def _price(price: float) -> str:
    return f"{price:,.12g}"
