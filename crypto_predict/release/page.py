"""The run's page about a model and its image, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from crypto_predict.baked.schema import Card, Gate, Model, PairCard, price_decimals
from crypto_predict.baked.scorecard import LiveRecord
from crypto_predict.baked.scores import Score
from crypto_predict.market import Pair
from crypto_predict.release.changes import commits, revision
from crypto_predict.release.markdown import Row, bullets, code, escape, mermaid, table
from crypto_predict.release.picture import picture
from crypto_predict.wording import counted

T = TypeVar("T")

MOST_PICTURES = 4  # of some 2 kB each
MOST_PAIRS = 12  # in each table
MOST_SCORES = 8  # horizons of one pair
MEGABYTE = 1_000_000  # bytes, as sizes of images are told

_SIMULATED = """\
> [!CAUTION]
> **SIMULATED PRICES: no exchange was used, this is an invented market. Never trade or publish on it.**"""
_PICTURE_FOOT = (
    "Up to day 0 the curve fitted to the history with its in-sample interval, on day 0 the last close, then the "
    "forecast with its interval."
)
_SCORE_FOOT = (
    "Out of sample, beside persistence (the price stays what it is) with a Gaussian interval of the past year's "
    "volatility: below 1 is better than persistence."
)


@dataclass(frozen=True, slots=True)
class Image:
    """The image that a model is in; what is not known is empty or None."""

    digest: str
    bytes: int | None  # unpacked, base included
    start_seconds: float | None  # from its start to its first answer


def page(model: Model, image: Image, since: str, subjects: str) -> str:
    """The whole page, some kilobytes of it.

    Args:
        model: One that can be evaluated.
        image: What it is in.
        since: What changed since the last model, as Markdown.
        subjects: Of the commits that it brings, one a line, written by anybody.
    """
    warning = [_SIMULATED] if model.card.simulated else []
    brought = commits(subjects)
    parts = [
        f"## Build {escape(model.card.build)}",
        *warning,
        bullets([*_image(image), *_model(model.card)]),
        "### Forecast",
        *_forecast(model),
        "### Scorecard",
        *_backtest(model.card),
        bullets(list(_live(model))),
        "### Since the last model",
        since,
        *([f"Commits:\n\n{brought}"] if brought else []),
        *warning,
    ]
    return "\n\n".join(parts)


def _image(image: Image) -> Iterator[str]:
    if image.digest:
        yield f"digest: {code(image.digest)}"
    if image.bytes is not None:
        yield f"size: {image.bytes / MEGABYTE:,.1f} MB unpacked, base included"
    if image.start_seconds is not None:
        yield f"start: {image.start_seconds:.2f} s to the first answer"


def _model(card: Card) -> Iterator[str]:
    yield f"version: {escape(card.version)}, revision {revision(card)}"
    yield f"trained: {card.trained_at:%Y-%m-%d %H:%M} UTC"
    for pair, facts in _some(card.pairs):
        yield (
            f"{pair}: {counted(facts.candles, 'candle')} from {escape(facts.source)}, "
            f"{facts.first:%Y-%m-%d} to {facts.last:%Y-%m-%d}"
        )
    yield f"gate: {_verdict(card.gate)}"


def _verdict(gate: Gate) -> str:
    if gate.passed:
        return "passed"
    found = "; ".join(escape(reason) for reason in gate.reasons[:MOST_SCORES])
    return f"**{'refused' if gate.enforced else 'LIFTED'}**: {found}"


def _forecast(model: Model) -> Iterator[str]:
    rows = [row for pair, facts in _some(model.card.pairs) for row in _standings(pair, facts)]
    head = ("pair", "ahead", "close of", "forecast", "low", "high", "persistence", "change")
    yield table(head, rows, "<<<>>>>>")
    interval = f"the central {model.card.coverage:.0%} interval"
    yield f"Low and high: {interval}. Persistence: the newest price, from which the forecast sets out."
    yield from (mermaid(picture(pair, model.forecasts[pair])) for pair in list(model.forecasts)[:MOST_PICTURES])
    yield _PICTURE_FOOT
    if (left := len(model.forecasts) - MOST_PICTURES) > 0:
        yield f"{counted(left, 'pair')} more not drawn."


def _standings(pair: Pair, facts: PairCard) -> Iterator[Row]:
    decimals, newest = price_decimals(facts.last_close), facts.anchor.price
    for standing in facts.forecast:
        prices = (standing.prediction, standing.low, standing.high, newest)
        shown = (f"{price:,.{decimals}f}" for price in prices)
        change = f"{standing.prediction / newest - 1:+.1%}"
        yield (str(pair), counted(standing.horizon_days, "day"), str(standing.day), *shown, change)


def _backtest(card: Card) -> Iterator[str]:
    tested = {pair: facts.backtest.scores for pair, facts in card.pairs.items() if facts.backtest is not None}
    rows = [_score(pair, score) for pair, scores in _some(tested) for score in scores[:MOST_SCORES]]
    if untested := [str(pair) for pair in card.pairs if not tested.get(pair)]:
        yield f"Not scored, since the history is too short for a backtest: {', '.join(untested)}."
    if rows:
        inside = f"inside {card.coverage:.0%}"
        head = ("pair", "ahead", "forecasts", "error / persistence", inside, "Winkler / persistence", "in words")
        yield table(head, rows, "<<>>>><")
        yield _SCORE_FOOT


def _score(pair: Pair, score: Score) -> Row:
    return (
        str(pair),
        counted(score.horizon_days, "day"),
        f"{score.forecasts:,}",
        _ratio(score.relative_mae),
        f"{score.coverage:.1%}",
        _ratio(score.relative_winkler),
        escape(score.words),
    )


def _ratio(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.3f}"


def _live(model: Model) -> Iterator[str]:
    """What became of the forecasts that were released, invented ones only where the model is invented."""
    card = model.scorecard
    yield f"the ledger of released forecasts has {counted(card.entries, 'line')}"
    records = card.simulated if model.card.simulated else card.pairs
    for pair, record in _some(records):
        yield f"{pair}: {_record(record)}"


def _record(record: LiveRecord) -> str:
    counts = f"{counted(record.releases, 'release')} since {record.since:%Y-%m-%d}, {record.pending:,} still pending"
    return f"{escape(record.words)} ({counts})"


def _some(pairs: Mapping[Pair, T]) -> list[tuple[Pair, T]]:
    """The first pairs, so that no page outgrows its limit."""
    return list(pairs.items())[:MOST_PAIRS]
