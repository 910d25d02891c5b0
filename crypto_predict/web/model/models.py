"""The models of each pair: who made them, and how good they are.

`models` lists first those that answer, of which `served` does by default; `not_served` is the reason if the one that
was to answer by default does not. Then it lists those that this release goes without, with the reason in `left_out`.
A model is its `source`: "built in", in the release `build`, or a file with the digest `sha256` and its `requirements`.
`scores` are those of the backtest, out of sample, and `pairwise` compares every two models at their common targets. A
model that was not tested has no `cutoffs` and no `scores`. `record` is what has become of its published forecasts, and
null before the first, and `record_pairwise` compares those of every two models; [/scorecard](/scorecard) also has
models that are no longer released.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime

from crypto_predict.baked.models import ModelReport, PairwiseScore
from crypto_predict.baked.schema import LiveModel
from crypto_predict.market import Pair
from crypto_predict.web.http.response import Rendered, render
from crypto_predict.web.http.schemas import cut
from crypto_predict.web.model import endpoint
from crypto_predict.web.model.answers import Answers
from crypto_predict.web.model.snapshots import Snapshot

_UNTESTED = ("built in", None, (), 0, 0, None, (), None)  # the fields of a report after the name


@dataclass(frozen=True, slots=True)
class ListedModel(ModelReport):
    """A model of one pair, the address of its forecast, and its live record."""

    forecast: str | None  # None if it has none
    record: LiveModel | None  # None if no release had its forecasts


@dataclass(frozen=True, slots=True)
class PairModels:
    """The models of one pair."""

    served: str
    not_served: str | None
    simulated: bool
    models: tuple[ListedModel, ...]
    pairwise: tuple[PairwiseScore, ...]  # of the backtest
    record_pairwise: tuple[PairwiseScore, ...]  # of what was published


@dataclass(frozen=True, slots=True)
class Models:
    """The models of each pair of a release."""

    version: str
    build: str
    trained_at: datetime
    simulated: bool
    pairs: dict[Pair, PairModels]


def models(answers: Answers) -> Models:
    """Return the models of every pair."""
    card = answers.model.card
    pairs = {pair: _of_pair(answers, pair) for pair in answers.pairs}
    return Models(card.version, card.build, card.trained_at, card.simulated, pairs)


def _of_pair(answers: Answers, pair: Pair) -> PairModels:
    facts, live = answers.model.card.pairs[pair], answers.model.live_record(pair)
    listed = tuple(_listed(answers, pair, () if live is None else live.models))
    record_pairwise = () if live is None else live.pairwise
    return PairModels(facts.served, facts.not_served, facts.simulated, listed, facts.pairwise, record_pairwise)


def _listed(answers: Answers, pair: Pair, live: Iterable[LiveModel]) -> Iterator[ListedModel]:
    """Yield the models of a pair, those that answer first."""
    facts, records = answers.model.card.pairs[pair], {record.name: record for record in live}
    tested = {report.name: report for report in facts.models if report.left_out is None}
    for name in answers.models[pair]:
        report = tested.pop(name, None) or ModelReport(name, *_UNTESTED)
        yield _joined(report, f"/forecast/{pair.slug}?model={name}", records.pop(name, None))
    for report in (*tested.values(), *(report for report in facts.models if report.left_out is not None)):
        yield _joined(report, None, records.pop(report.name, None))


def _joined(report: ModelReport, forecast: str | None, record: LiveModel | None) -> ListedModel:
    members = {field.name: getattr(report, field.name) for field in fields(report)}
    return ListedModel(**members, forecast=forecast, record=record)


def rendered(snapshot: Snapshot) -> Rendered:
    """Return the answer."""
    return render(models(snapshot.answers), simulated=snapshot.answers.model.card.simulated)


OPERATION = endpoint.ModelOperation(
    rule="/models",
    answer=endpoint.constant(rendered),
    text=__doc__,
    place=2,
    schemas={"Models": Models},
    examples=lambda snapshot: [cut(models(snapshot.answers))],
)
