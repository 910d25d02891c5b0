"""How much may be lost until a day, or an instant?

Losses are counted from the newest price that the model has seen (`newest_price`, at `as_of`) to the price at the time
that is asked for, without what lies between. `value_at_risk` is the loss that one and five of 100 outcomes exceed,
`expected_shortfall` the mean of the losses of those outcomes, `ranges` hold the price with 50, 80 and 90 % probability,
and `falls` says how probable losses of at least 5, 10 and 20 % are. All of them are of one distribution, that of
[/probability](/probability), and `based_on` says what it rests on. Figures that are `extrapolated` rest on the assumed
shape of a tail.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated

from crypto_predict.baked import plain
from crypto_predict.baked.distribution import Distribution
from crypto_predict.market import DAY, Pair
from crypto_predict.web.http import queries
from crypto_predict.web.http.problems import BadParameter
from crypto_predict.web.http.response import PAIR, Rendered, file_headers, render, simulated_header, table
from crypto_predict.web.http.schemas import FORMAT_PARAMETER, Parameter, pair_parameter
from crypto_predict.web.model import endpoint
from crypto_predict.web.model.answers import FORECAST, KIND, MODEL, Answers, Row, Series
from crypto_predict.web.model.basis import Basis, basis_of, newest_of, reasons
from crypto_predict.web.model.snapshots import Snapshot

DEFAULT_DAYS = 7  # after the last candle
RARE = (0.01, 0.05)  # probabilities of a larger loss than the value at risk
WITHIN = (0.5, 0.8, 0.9)  # probabilities of the ranges
FALLS = (0.05, 0.1, 0.2)  # shares of the newest price

_COLUMNS = (
    *("date", "figure", "probability", "loss", "amount", "price", "low", "high", "extrapolated"),
    *("newest_price", "kind", "as_of", "pair", "model", "simulated"),
)
_DECIMALS = 6  # of a share or a probability: what lies beyond is not known


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss of one unit of the base, from the newest price on; a gain is below 0."""

    probability: float  # of a larger loss; of a shortfall that of the outcomes whose mean loss it is
    loss: float  # as a share of the newest price
    amount: float  # in the quote currency
    price: float  # at which so much is lost
    extrapolated: bool  # whether it rests on an assumed tail, beyond the quantiles of the model


@dataclass(frozen=True, slots=True)
class Range:
    """The central range of the price: with equal probability the price is below it and above it."""

    probability: float  # of a price inside
    low: float
    high: float
    extrapolated: bool


@dataclass(frozen=True, slots=True)
class Risk:
    """The risk of one unit of the base until some time."""

    date: date | datetime  # a day stands for its close; an instant is in UTC
    newest_price: float
    value_at_risk: tuple[Loss, ...]  # by `RARE`
    expected_shortfall: tuple[Loss, ...]
    ranges: tuple[Range, ...]  # by `WITHIN`
    falls: tuple[Loss, ...]  # by `FALLS`
    kind: Annotated[str, KIND]  # from here to `simulated` as in `Provenance`
    as_of: datetime
    pair: Pair
    model: Annotated[str, MODEL]
    simulated: bool
    based_on: Basis
    words: str


def risk(answers: Answers, pair: str, query: str, now: datetime | None = None) -> Risk:
    """Return the risk that path and query ask for at `now` (UTC), by default in a week.

    Errors are also those of `Series.row`.
    """
    named = endpoint.read_pair(pair, answers.names)
    values = queries.parameters(query, ("date", "model", queries.FORMAT))
    series = answers.of(named, values.get("model"))
    week = series.last_candle + DEFAULT_DAYS * DAY
    return of_row(answers, series, series.row(endpoint.read_date({"date": str(week), **values})), now)


def of_row(answers: Answers, series: Series, row: Row, now: datetime | None = None) -> Risk:
    """Return the risk until the time of a row. If that is not after the newest price, raise `BadParameter`."""
    moment, provenance = row.moment, row.provenance
    if provenance.kind != FORECAST:
        newest = f"the newest price is that of {plain.encode(provenance.as_of)}"
        raise BadParameter("date", f"date: {plain.encode(moment)} has passed, since {newest}: ask for a later time")
    distribution = series.distribution(moment)
    at_risk = tuple(
        _loss(series, share, distribution.quantile(share), extrapolated=not distribution.reaches(share))
        for share in RARE
    )
    shortfall = tuple(
        _loss(series, share, distribution.mean_below(share), extrapolated=not distribution.reaches(0)) for share in RARE
    )
    ranges = tuple(_range(series, distribution, row, share) for share in WITHIN)
    falls = tuple(_fall(series, distribution, share) for share in FALLS)
    figures: list[Loss | Range] = [*at_risk, *shortfall, *ranges, *falls]
    extrapolated = any(figure.extrapolated for figure in figures)
    basis = basis_of(answers, series, row, now, extrapolated=extrapolated)
    by = f"{'by' if isinstance(moment, datetime) else 'by the close of'} {plain.encode(moment)}"
    sentences = [
        in_words(str(provenance.pair), by, at_risk, shortfall),
        *reasons(basis, simulated=provenance.simulated),
    ]
    if extrapolated:
        sentences.append("Figures that are marked as extrapolated rest on the assumed shape of a tail.")
    rests_on = (provenance.kind, provenance.as_of, provenance.pair, provenance.model, provenance.simulated)
    words = " ".join(sentences)
    return Risk(moment, series.newest_price, at_risk, shortfall, ranges, falls, *rests_on, basis, words)


def _loss(series: Series, probability: float, price: float, *, extrapolated: bool) -> Loss:
    newest, rounded = series.newest_price, series.rounded(price)
    share, amount = round(1 - price / newest, _DECIMALS), round(newest - rounded, series.decimals)
    return Loss(round(probability, _DECIMALS), share, amount, rounded, extrapolated)


def _range(series: Series, distribution: Distribution, row: Row, share: float) -> Range:
    ends = (round((1 - share) / 2, 2), round((1 + share) / 2, 2))
    low, high = series.quantiles(row.moment, ends)
    return Range(share, low, high, not all(map(distribution.reaches, ends)))


def _fall(series: Series, distribution: Distribution, share: float) -> Loss:
    price = series.newest_price * (1 - share)
    return _loss(series, distribution.below(price), price, extrapolated=not distribution.covers(price))


def in_words(name: str, by: str, at_risk: Sequence[Loss], shortfall: Sequence[Loss]) -> str:
    """Return what `name` may lose in words, the more probable loss first; `by` is when: ``in 7 days``."""
    (most, mean), *others = list(zip(at_risk, shortfall, strict=True))[::-1]
    parts = [f"In {_of_100(most)} of 100 cases {name} {_loses(most)} {by}, on average {_mean(most, mean)} then"]
    parts += [f"in {_of_100(most)} of 100 it {_loses(most)}, on average {_mean(most, mean)}" for most, mean in others]
    return f"{'; '.join(parts)}."


def _of_100(loss: Loss) -> str:
    return f"{100 * loss.probability:.0f}"


def _loses(loss: Loss) -> str:
    return f"{'gains less' if loss.loss < 0 else 'loses more'} than {percent(loss)}"


def _mean(most: Loss, mean: Loss) -> str:
    """Return a mean loss, and that it is one where the smallest of these losses is a gain."""
    return f"it loses {percent(mean)}" if most.loss < 0 < mean.loss else percent(mean)


def percent(loss: Loss) -> str:
    """Format a loss or a gain without its sign: ``12 %``, ``0.48 %``."""
    share = 100 * abs(loss.loss)
    return f"{share:,.0f} %" if share >= 9.95 else f"{share:.2g} %"


def rendered(risk: Risk) -> Rendered:
    """Return a table of risk as JSON."""
    return render(risk, simulated=risk.simulated, pair=risk.pair)


def tabulated(risk: Risk) -> Rendered:
    """Return a table of risk as CSV, with a line for each figure."""
    same = {name: getattr(risk, name) for name in ("newest_price", "kind", "as_of", "pair", "model", "simulated")}
    figures = [{"date": risk.date, "figure": name, **plain.encode(figure)} | same for name, figure in _figures(risk)]
    body = table(_COLUMNS, ([plain.encode(figure.get(name)) for name in _COLUMNS] for figure in figures))
    headers = [*file_headers(body, risk.pair.slug, "risk"), (PAIR, str(risk.pair)), *simulated_header(risk.simulated)]
    return Rendered(body, headers, risk.pair)


def _figures(risk: Risk) -> Iterator[tuple[str, Loss | Range]]:
    """Yield every figure with its name."""
    for name in ("value_at_risk", "expected_shortfall", "ranges", "falls"):
        for figure in getattr(risk, name):
            yield name.removesuffix("s"), figure


def answer(snapshot: Snapshot, now: datetime, query: str, pair: str) -> Rendered:
    """Answer as JSON or CSV."""
    pair, chosen = queries.file_format(pair, query)
    answered = risk(snapshot.answers, pair, query, now)
    represented = tabulated(answered) if chosen == "csv" else rendered(answered)
    return snapshot.until_change(represented, now, newest_of(answered.based_on, answered.as_of))


def _parameters(snapshot: Snapshot) -> list[Parameter]:
    return [
        pair_parameter(snapshot.answers.pairs[0]),
        endpoint.moment(snapshot, default=f"{DEFAULT_DAYS} days after the last candle"),
        endpoint.model(snapshot, snapshot.answers.pairs),
        FORMAT_PARAMETER,
    ]


def _examples(snapshot: Snapshot) -> list[Rendered]:
    example = risk(snapshot.answers, snapshot.answers.pairs[0].slug, f"date={endpoint.day(snapshot)}")
    return [rendered(example), tabulated(example)]


OPERATION = endpoint.ModelOperation(
    rule="/risk/<path:pair>",
    answer=answer,
    text=__doc__,
    tag="forecast",
    live=True,
    place=4,
    parameters=_parameters,
    schemas={"Risk": Risk},
    examples=_examples,
    failures=endpoint.failures,
)
