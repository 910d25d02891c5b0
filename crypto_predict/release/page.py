"""What a model says, as Markdown: the run's page, and the front page of the public record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from crypto_predict.baked.schema import Card, Model, PairCard
from crypto_predict.baked.scores import Score
from crypto_predict.market import Pair, price_decimals
from crypto_predict.release.markdown import bullets, code, escape, table
from crypto_predict.release.picture import picture
from crypto_predict.wording import counted

MOST_PAIRS = 12  # in each table
MOST_PICTURES = 4  # of some 2 kB each
MOST_LINES = 8  # of what the gate or a backtest lists
MOST_COMMITS = 30

_SIMULATED = """\
> [!CAUTION]
> **SIMULATED PRICES: no exchange was used, this market is invented. Never trade or publish on it.**"""
_INTERVAL = "Low and high: the central {:.0%} interval. Persistence: the newest price, where the forecast starts."
_SCORES = (
    "Out of sample, beside persistence (the price stays as it is) with a Gaussian interval of the past year's "
    "volatility: below 1 is better than persistence."
)


def page(model: Model, digest: str, since: str = "", subjects: Sequence[str] = ()) -> str:
    """Return the whole page, some kilobytes.

    Args:
        model: A model that loads can be evaluated.
        digest: Of its image.
        since: What changed since the last model, as Markdown.
        subjects: Of the commits that it brings, written by anybody.
    """
    warning = [_SIMULATED] if model.card.simulated else []
    parts = [f"## Build {escape(model.card.build)}", *warning, bullets([f"image: {code(digest)}", *_model(model.card)])]
    parts += ["### Forecast", *_forecast(model), "### Scorecard", *_backtest(model.card), bullets(list(_live(model)))]
    parts += ["### Since the last model", since] if since else []
    shown = [escape(subject, 120) for subject in subjects[:MOST_COMMITS]]
    more = [f"and {len(subjects) - MOST_COMMITS:,} more"] if len(subjects) > MOST_COMMITS else []
    parts += ["### Commits", bullets(shown + more)] if shown else []
    return "\n\n".join([*parts, *warning])


def _model(card: Card) -> Iterator[str]:
    yield f"version {escape(card.version)}, revision {code((card.git_revision or 'unknown')[:9])}"
    yield f"trained: {card.trained_at:%Y-%m-%d %H:%M} UTC"
    for pair, facts in islice(card.pairs.items(), MOST_PAIRS):
        span = f"{facts.first:%Y-%m-%d} to {facts.last:%Y-%m-%d}"
        yield f"{pair}: {counted(facts.candles, 'candle')} from {escape(facts.source)}, {span}"
    found = "; ".join(escape(reason) for reason in card.gate.reasons[:MOST_LINES])
    yield "gate: passed" if card.gate.passed else f"gate: **{'refused' if card.gate.enforced else 'LIFTED'}**: {found}"


def _forecast(model: Model) -> Iterator[str]:
    rows = [row for pair, facts in islice(model.card.pairs.items(), MOST_PAIRS) for row in _standings(pair, facts)]
    yield table(("pair", "ahead", "close of", "forecast", "low", "high", "persistence", "change"), rows, "<<<>>>>>")
    yield _INTERVAL.format(model.card.coverage)
    yield from (picture(pair, forecast) for pair, forecast in islice(model.forecasts.items(), MOST_PICTURES))
    if (left := len(model.forecasts) - MOST_PICTURES) > 0:
        yield f"{counted(left, 'pair')} more not drawn."


def _standings(pair: Pair, facts: PairCard) -> Iterator[tuple[str, ...]]:
    decimals, newest = price_decimals(facts.last_close), facts.anchor.price
    for row in facts.forecast:
        shown = (f"{price:,.{decimals}f}" for price in (row.prediction, row.low, row.high, newest))
        yield str(pair), counted(row.horizon_days, "day"), str(row.day), *shown, f"{row.prediction / newest - 1:+z.1%}"


def _backtest(card: Card) -> Iterator[str]:
    tested = {pair: facts.backtest.scores if facts.backtest else () for pair, facts in card.pairs.items()}
    if untested := [str(pair) for pair, scores in tested.items() if not scores]:
        yield f"Not scored, since the history is too short for a backtest: {', '.join(untested)}."
    rows = [_score(pair, one) for pair, scores in islice(tested.items(), MOST_PAIRS) for one in scores[:MOST_LINES]]
    if rows:
        inside = f"inside {card.coverage:.0%}"
        head = ("pair", "ahead", "forecasts", "error / persistence", inside, "Winkler / persistence", "in words")
        yield table(head, rows, "<<>>>><")
        yield _SCORES


def _score(pair: Pair, score: Score) -> tuple[str, ...]:
    error, winkler = ("-" if x is None else f"{x:.3f}" for x in (score.relative_mae, score.relative_winkler))
    ahead = counted(score.horizon_days, "day")
    return str(pair), ahead, f"{score.forecasts:,}", error, f"{score.coverage:.1%}", winkler, escape(score.words)


def _live(model: Model) -> Iterator[str]:
    """Describe the record of released forecasts: of invented prices only where the model's are invented."""
    card = model.scorecard
    yield f"the ledger of released forecasts has {counted(card.entries, 'line')}"
    records = card.simulated if model.card.simulated else card.pairs
    for pair, record in islice(records.items(), MOST_PAIRS):
        releases = f"{counted(record.releases, 'release')} since {record.since:%Y-%m-%d}"
        yield f"{pair}: {escape(record.words)} ({releases}, {record.pending:,} still pending)"
