"""How probable is a price, on a day or at an instant? Is it touched until then?

Ask one of three questions. How probable it is that the price is `above` one limit, `below` another one, or between
both, at that time. Whether the price is touched (`touches`) at any time until then. Whether it `stays_above` one limit,
`stays_below` another one, or between both, all the time until then.

`based_on` says what the answer rests on: `calibration` is how often the model's 80 % interval held out of sample, at
the horizon of the backtest nearest to the question. `borders` are the prices that may be touched, each with its
probability, and how often prices of similar probability were touched out of sample; `corridor` is how often the price
stayed between two prices with a similar probability.

`clock` is the forecast that answers, that of the finest unit which reaches the time: of minutes, hours or days, made
from the closes up to `cutoff`. If it is `live`, it was read from the database, and is newer than the model.

A day that has passed is answered from the fitted distribution (`kind` is `fitted`): how closes lay around the curve,
not what happened. What was touched on it is known, and is answered with 0 or 1. If `extrapolated` is true, a limit lies
so far out that the shape of the distribution there is an assumption.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, NamedTuple

from crypto_predict.baked import plain
from crypto_predict.baked.distribution import Distribution
from crypto_predict.baked.schema import PairCard
from crypto_predict.market import Pair
from crypto_predict.web.http.problems import BadParameter
from crypto_predict.web.http.queries import parameters
from crypto_predict.web.http.response import Rendered, render
from crypto_predict.web.http.schemas import Parameter, pair_parameter, parameter
from crypto_predict.web.model import endpoint
from crypto_predict.web.model.answers import KIND, MODEL, Answers, Row, Series
from crypto_predict.web.model.basis import Basis, basis_of, newest_of, reasons
from crypto_predict.web.model.endpoint import PRICE, PRICE_EXPECTED, read_price
from crypto_predict.web.model.snapshots import Snapshot
from crypto_predict.web.model.touches import (
    Answer,
    Border,
    Happened,
    Touch,
    TouchCalibration,
    answer_to,
    share_in_words,
)
from crypto_predict.wording import listed

_DECIMALS = 6  # of a probability: what lies beyond is not known


@dataclass(frozen=True, slots=True)
class Probability:
    """The probability that a price is above the one limit and below the other, is touched, or stays within limits."""

    date: date | datetime  # a day stands for its close; an instant is in UTC
    above: float | None
    below: float | None
    touches: float | None
    stays_above: float | None
    stays_below: float | None
    probability: float
    known: bool  # whether a touch or a stay is no forecast: what happened, or the newest price, decides it
    borders: tuple[Border, ...]  # the prices that are touched or not; none if the price at that time is asked for
    corridor: TouchCalibration | None  # how often staying between two prices came about; None of other questions
    happened: Happened | None  # what is known of a day that has passed, where touches are asked for
    prediction: float
    low: float  # of the central 80 % interval
    high: float
    kind: Annotated[str, KIND]  # from here to `simulated` as in `Provenance`
    as_of: datetime
    pair: Pair
    model: Annotated[str, MODEL]
    simulated: bool
    based_on: Basis
    words: str


class _Question(NamedTuple):
    """What is asked for, with one kind of limits."""

    above: float | None
    below: float | None
    touches: float | None
    stays_above: float | None
    stays_below: float | None

    @property
    def touch(self) -> Touch | None:
        """Return what is asked about the way; None if the end is asked about."""
        touch = Touch(self.touches, self.stays_above, self.stays_below)
        return touch if touch.limits else None


_KINDS = (("above", "below"), ("touches",), ("stays_above", "stays_below"))


def probability(answers: Answers, pair: str, query: str, now: datetime | None = None) -> Probability:
    """Return the probability that path and query ask for at `now` (UTC), with its basis.

    Errors are also those of `Series.row`.
    """
    named = endpoint.read_pair(pair, answers.names)
    values = parameters(query, ("date", *_Question._fields, "model"))
    moment = endpoint.read_date(values)
    question = _question(values)
    series = answers.of(named, values.get("model"))
    row = series.row(moment)
    provenance = row.provenance
    answer = _answer(question, named, series, row, answers.model.card.pairs[named])
    limits, distribution = filter(None, question), series.distribution(moment)
    extrapolated = not answer.known and not all(map(distribution.covers, limits))
    basis = basis_of(answers, series, row, now, extrapolated=extrapolated)
    sentences = [answer.words]
    if not answer.known:
        sentences += reasons(basis, simulated=provenance.simulated, measured=answer.measured)
    elif provenance.simulated:
        sentences.append("The prices are simulated.")
    if extrapolated:
        sentences.append("It rests on the assumed shape of a tail.")
    return Probability(
        date=moment,
        **question._asdict(),
        probability=round(answer.probability, _DECIMALS),
        known=answer.known,
        borders=answer.borders,
        corridor=answer.corridor,
        happened=answer.happened,
        prediction=row.price.price,
        low=row.price.low,
        high=row.price.high,
        kind=provenance.kind,
        as_of=provenance.as_of,
        pair=provenance.pair,
        model=provenance.model,
        simulated=provenance.simulated,
        based_on=basis,
        words=" ".join(sentences),
    )


def _question(values: Mapping[str, str]) -> _Question:
    """Return the limits, of exactly one kind; of two, the upper one is more than the lower one."""
    question = _Question(*(read_price(name, values[name]) if name in values else None for name in _Question._fields))
    kinds = [kind for kind in _KINDS if any(getattr(question, name) is not None for name in kind)]
    if not kinds:
        names = listed(_Question._fields)
        raise BadParameter("above", f"{names} are missing: give one of them, or both of a kind, each {PRICE_EXPECTED}")
    given = [name for kind in kinds for name in kind if getattr(question, name) is not None]
    if len(kinds) > 1:
        named = [f"{name} ({getattr(question, name):,.12g})" for name in given]
        raise BadParameter(given[-1], f"{listed(named)} are different questions: ask one at a time")
    if len(given) == 2:
        (lower, least), (upper, most) = ((name, getattr(question, name)) for name in given)
        if most <= least:
            limits = f"{upper} ({most:,.12g}) must be more than {lower} ({least:,.12g})"
            raise BadParameter(upper, f"{limits}: both together ask for a price between them")
    return question


def _answer(question: _Question, pair: Pair, series: Series, row: Row, facts: PairCard) -> Answer:
    """Return the answer, about the way until `row` or about the price then."""
    if (touch := question.touch) is not None:
        return answer_to(touch, pair, series, row, facts)
    share = _between(series.distribution(row.moment), question.above, question.below)
    return Answer(share, False, (), None, None, _in_words(pair, row.moment, question.above, question.below, share), ())


def _between(distribution: Distribution, above: float | None, below: float | None) -> float:
    """Return the probability of a price above the one limit and below the other, as far as they are given."""
    if above is not None and below is not None:
        return max(distribution.above(above) - distribution.above(below), 0.0)
    if above is not None:
        return distribution.above(above)
    return 1.0 if below is None else distribution.below(below)


def _in_words(pair: Pair, moment: date | datetime, above: float | None, below: float | None, probability: float) -> str:
    """Return the answer in words, which never promise certainty."""
    limits = [f"{word} {limit:,.12g}" for word, limit in (("above", above), ("below", below)) if limit]
    when = "at" if isinstance(moment, datetime) else "at the close of"
    return f"Probability {share_in_words(probability)}: {pair} {' and '.join(limits)} {when} {plain.encode(moment)}."


def answer(snapshot: Snapshot, now: datetime, query: str, pair: str) -> Rendered:
    """Return the answer as JSON."""
    estimate = probability(snapshot.answers, pair, query, now)
    rendered = render(estimate, simulated=estimate.simulated, pair=estimate.pair)
    return snapshot.until_change(rendered, now, newest_of(estimate.based_on, estimate.as_of))


def _limit(snapshot: Snapshot) -> float:
    """Return a round price near the forecast of the day of the example."""
    return float(f"{endpoint.series(snapshot).row(endpoint.day(snapshot)).price.price:.2g}")


def _parameters(snapshot: Snapshot) -> list[Parameter]:
    return [
        pair_parameter(snapshot.answers.pairs[0]),
        endpoint.moment(snapshot),
        parameter("above", "The lower limit of the price; or `below`, or both.", PRICE, _limit(snapshot)),
        parameter("below", "The upper limit of the price, more than `above`.", PRICE),
        parameter("touches", "A price that is touched until then, or not; instead of `above` and `below`.", PRICE),
        parameter("stays_above", "A price that is not touched until then; or `stays_below`, or both.", PRICE),
        parameter("stays_below", "A price above the present one that is not touched until then.", PRICE),
        endpoint.model(snapshot, snapshot.answers.pairs),
    ]


def _example(snapshot: Snapshot) -> list[Probability]:
    query = f"date={endpoint.day(snapshot)}&above={_limit(snapshot)!r}"
    return [probability(snapshot.answers, snapshot.answers.pairs[0].slug, query)]


OPERATION = endpoint.ModelOperation(
    rule="/probability/<path:pair>",
    answer=answer,
    text=__doc__,
    tag="forecast",
    live=True,
    place=3,
    parameters=_parameters,
    schemas={"Probability": Probability},
    examples=_example,
    failures=endpoint.failures,
)
