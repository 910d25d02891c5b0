"""A model in Markdown: the run's page, the front page of the public record, and what changed since the last model.

The forecast is drawn as a Mermaid chart, which GitHub shows in Markdown; inline images are not shown on a run's page.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import islice
from pathlib import Path

from crypto_predict.baked.evaluation import COMBINED, Evaluator, Prediction
from crypto_predict.baked.schema import Card, Model, PairCard, PairForecast, Score
from crypto_predict.errors import CryptoPredictError, OutOfRange
from crypto_predict.market import Pair, price_decimals
from crypto_predict.release.images import take_out, take_out_model
from crypto_predict.release.job import Environ, add_summary, bullets, code, escape, table
from crypto_predict.wording import counted

MOST_PAIRS = 12  # in each table
MOST_PICTURES = 4  # of some 2 kB each
MOST_LINES = 8  # of what the gate or a backtest lists
MOST_COMMITS = 30
PICTURE_DAYS = 90  # drawn on either side of the last close
PICTURE_STEP = 3  # days from one point to the next
PICTURE_TICKS = 6  # approximate number of horizontal lines
_CHART = """\
---
config:
  xyChart: {width: 900, height: 420}
  themeVariables: {xyChart: {plotColorPalette: "#e8a867, #e8a867, #c2570c"}}
---"""  # readable on white and on black

_SIMULATED = """\
> [!CAUTION]
> **SIMULATED PRICES: no exchange was used, this market is invented. Never trade or publish on it.**"""
_INTERVAL = "Low and high: the central {:.0%} interval. Persistence: the newest price, where the forecast starts."
_SCORES = (
    "Out of sample, compared with persistence (the price stays the same) with a Gaussian interval of the past year's "
    "volatility: below 1 is better than persistence."
)


def summary(image: str, champion: str, into: Path, environ: Environ) -> None:
    """Show forecast, scorecard and changes on the run's page. Reads the subjects of new commits from CHANGES."""
    model = take_out_model(image, into)
    try:
        before = take_out(champion, into)[0] if champion else None
        since = changes(model, before) if before else "There is no earlier model of this schema."
    except CryptoPredictError as error:
        since = f"Not compared: {escape(str(error))}."
    subjects = [line for line in environ.get("CHANGES", "").splitlines() if line.strip()]
    add_summary(environ, page(model, image.partition("@")[2] or image, since, subjects))


def page(model: Model, digest: str, since: str = "", subjects: Sequence[str] = ()) -> str:
    """Return the whole page, some kilobytes, of a model in the image with this digest.

    `since` has the changes since the last model as Markdown, `subjects` those of the new commits, which are untrusted.
    """
    card = model.card
    warning = [_SIMULATED] if card.simulated else []
    parts = [f"## Build {escape(card.build)}", *warning, bullets([f"image: {code(digest)}", *_model(card)])]
    parts += ["### Forecast", *_forecast(model), "### Scorecard", *_backtest(card), bullets(list(_live(model)))]
    parts += ["### Since the last model", since] if since else []
    listed = [escape(subject, 120) for subject in subjects[:MOST_COMMITS]]
    more = [f"and {len(subjects) - MOST_COMMITS:,} more"] if len(subjects) > MOST_COMMITS else []
    parts += ["### Commits", bullets(listed + more)] if listed else []
    return "\n\n".join([*parts, *warning])


def changes(model: Model, champion: Model) -> str:
    """Return the differences between a model and the one released before it, as Markdown."""
    now, was = model.card.pairs, champion.card.pairs
    histories = [f"{pair}: {_history(facts, was[pair]) if pair in was else 'new'}" for pair, facts in now.items()]
    removed = [f"{pair}: removed" for pair in was if pair not in now]
    facts = bullets([*_packages(model.card, champion.card), *histories, *removed])
    rows = [row for pair in model.forecasts for row in _moves(pair, model, champion)]
    moves = table(("pair", "for the close of", "was", "is", "moved"), rows, "<<>>>")
    return f"{facts}\n\n{moves}" if rows else facts


def _model(card: Card) -> Iterator[str]:
    yield f"version {escape(card.version)}, revision {code((card.git_revision or 'unknown')[:9])}"
    yield f"trained: {card.trained_at:%Y-%m-%d %H:%M} UTC"
    for pair, facts in islice(card.pairs.items(), MOST_PAIRS):
        span = f"{facts.first:%Y-%m-%d} to {facts.last:%Y-%m-%d}"
        yield f"{pair}: {counted(facts.candles, 'candle')} from {escape(facts.source)}, {span}"
    reasons = "; ".join(escape(reason) for reason in card.gate.reasons[:MOST_LINES])
    yield (
        "gate: passed" if card.gate.passed else f"gate: **{'refused' if card.gate.enforced else 'LIFTED'}**: {reasons}"
    )


def _forecast(model: Model) -> Iterator[str]:
    rows = []
    for pair, facts in islice(model.card.pairs.items(), MOST_PAIRS):
        decimals, newest = price_decimals(facts.last_close), facts.anchor.price
        for row in facts.forecast:
            prices = (f"{price:,.{decimals}f}" for price in (row.prediction, row.low, row.high, newest))
            change = f"{row.prediction / newest - 1:+z.1%}"
            rows.append((str(pair), counted(row.horizon_days, "day"), str(row.day), *prices, change))
    yield table(("pair", "ahead", "close of", "forecast", "low", "high", "persistence", "change"), rows, "<<<>>>>>")
    yield _INTERVAL.format(model.card.coverage)
    if defaults := list(_defaults(model.card)):
        yield bullets(defaults)
    for pair, forecast in islice(model.forecasts.items(), MOST_PICTURES):
        yield picture(pair, forecast, model.card.pairs[pair].served)
    if (left := len(model.forecasts) - MOST_PICTURES) > 0:
        yield f"{counted(left, 'pair')} more not drawn."


def _defaults(card: Card) -> Iterator[str]:
    """Yield of which model the forecasts are if they are not ours, or why they are ours although another was chosen."""
    for pair, facts in islice(card.pairs.items(), MOST_PAIRS):
        if facts.served != COMBINED:
            yield f"{pair}: the forecast is that of the model {code(facts.served)}, the scores below are those of ours"
        elif facts.not_served is not None:
            yield f"{pair}: the forecast is ours: {escape(facts.not_served)}"


def _backtest(card: Card) -> Iterator[str]:
    tested = {pair: facts.backtest.scores if facts.backtest else () for pair, facts in card.pairs.items()}
    if untested := [str(pair) for pair, scores in tested.items() if not scores]:
        yield f"Not scored, since the history is too short for a backtest: {', '.join(untested)}."
    shown = [(pair, row) for pair, scores in islice(tested.items(), MOST_PAIRS) for row in scores[:MOST_LINES]]
    if shown:
        inside = f"inside {card.coverage:.0%}"
        head = ("pair", "ahead", "forecasts", "error / persistence", inside, "Winkler / persistence", "in words")
        # After a colon most rows have the same sentence: it becomes a note.
        notes = [note for note in dict.fromkeys(score.words.partition(": ")[2] for _, score in shown) if note]
        yield table(head, [_score(pair, score, notes) for pair, score in shown], "<<>>>><")
        yield _SCORES
        yield from (f"({number}) {escape(note)}." for number, note in enumerate(notes, start=1))


def _score(pair: Pair, score: Score, notes: Sequence[str]) -> tuple[str, ...]:
    error, winkler = ("-" if x is None else f"{x:.3f}" for x in (score.relative_mae, score.relative_winkler))
    verdict, _, note = score.words.partition(": ")
    words = f"{escape(verdict)} ({notes.index(note) + 1})" if note else escape(verdict)
    ahead = counted(score.horizon_days, "day")
    return str(pair), ahead, f"{score.forecasts:,}", error, f"{score.coverage:.1%}", winkler, words


def _live(model: Model) -> Iterator[str]:
    """Describe the record of released forecasts, and of ours beside each other model's for tomorrow.

    Invented prices are described only if the model's are invented.
    """
    card = model.scorecard
    yield f"the ledger of released forecasts has {counted(card.entries, 'line')}"
    records = card.simulated if model.card.simulated else card.pairs
    for pair, record in islice(records.items(), MOST_PAIRS):
        releases = f"{counted(record.releases, 'release')} since {record.since:%Y-%m-%d}"
        yield f"{pair}: {escape(record.words)} ({releases}, {record.pending:,} still pending)"
        ours = [score for score in record.pairwise if (score.model, score.horizon_days) == (COMBINED, 1)]
        for score in ours[:MOST_LINES]:
            yield f"{pair}: {escape(score.words)} ({counted(score.forecasts, 'outcome')})"


def _packages(card: Card, before: Card) -> Iterator[str]:
    yield f"build {code(card.build)}, was {code(before.build)}"
    now, was = ({"python": side.python, **side.packages} for side in (card, before))
    moved = [
        f"{escape(name)} {escape(now.get(name, 'removed'))}, was {escape(was.get(name, 'absent'))}"
        for name in sorted({*now, *was})
        if now.get(name) != was.get(name)
    ]
    yield f"packages: {'; '.join(moved) or 'as before'}"


def _history(facts: PairCard, before: PairCard) -> str:
    days = (facts.last - before.last).days
    added = f"{counted(days, 'day')} of history added" if days >= 0 else f"{counted(-days, 'day')} of history FEWER"
    source = "" if facts.source == before.source else f", from {escape(facts.source)}, was {escape(before.source)}"
    same = ", the same history" if facts.history_sha256 == before.history_sha256 else ""
    return f"{added}, up to {facts.last:%Y-%m-%d}{source}{same}"


def _moves(pair: Pair, model: Model, champion: Model) -> Iterator[tuple[str, ...]]:
    """Compare both models on the same days; skip those that the champion cannot answer for."""
    if pair not in champion.forecasts:
        return
    before, now = Evaluator(champion.forecasts[pair]), Evaluator(model.forecasts[pair])
    was_served, served = champion.card.pairs[pair].served, model.card.pairs[pair].served
    for standing in model.card.pairs[pair].forecast:
        try:
            was, price = before.at(standing.day, was_served).price, now.at(standing.day, served).price
        except OutOfRange:
            continue
        prices = (f"{number:,.{now.decimals}f}" for number in (was, price))
        yield str(pair), str(standing.day), *prices, f"{price / was - 1:+z.2%}" if was else "-"


def picture(pair: Pair, forecast: PairForecast, model: str = COMBINED) -> str:
    """Return the fitted curve up to the last close and a model's forecast after it, with the ends of the intervals."""
    period = min(PICTURE_DAYS, (forecast.last - forecast.first).days) // PICTURE_STEP * PICTURE_STEP
    evaluator, last = Evaluator(forecast), forecast.last_close
    points = [
        evaluator.at(forecast.last + timedelta(days=days), model) if days else Prediction(last, last, last)
        for days in range(-period, PICTURE_DAYS + 1, PICTURE_STEP)
    ]
    lows, highs, prices = zip(*((point.low, point.high, point.price) for point in points), strict=True)
    decimals = price_decimals(last)
    bottom, top = _range(min(lows), max(highs))
    lines = [
        f'  title "{pair}: fitted curve, then forecast with its 80 % interval"',
        f'  x-axis "days from {forecast.last.day} {forecast.last:%B %Y}, the last close" {-period} --> {PICTURE_DAYS}',
        f'  y-axis "{pair.quote}" {bottom:.{decimals}f} --> {top:.{decimals}f}',
        *(f"  line [{', '.join(f'{price:.{decimals}f}' for price in line)}]" for line in (lows, highs, prices)),
    ]
    return "\n".join(["```mermaid", _CHART, "xychart-beta", *lines, "```"])


def _range(low: float, high: float) -> tuple[float, float]:
    """Return round prices just outside of what is drawn."""
    rough = max(high - low, high * 1e-3) / PICTURE_TICKS
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(magnitude * factor for factor in (1, 2, 5, 10) if magnitude * factor >= rough)
    return math.floor(low / step) * step, math.ceil(high / step) * step
