"""What changed since the last model: version, history, forecast, packages, and the commits between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from crypto_predict.baked.evaluation import Evaluator
from crypto_predict.baked.schema import Card, Model, PairCard
from crypto_predict.errors import OutOfRange
from crypto_predict.market import Pair
from crypto_predict.release.markdown import Row, bullets, code, escape, table
from crypto_predict.wording import counted

MOST_COMMITS = 30
REVISION_LENGTH = 9  # characters of a commit that name it


def changes(model: Model, champion: Model) -> str:
    """What a model says otherwise than the one released before it, as Markdown."""
    facts = bullets([*_release(model.card, champion.card), *_histories(model, champion)])
    rows = [row for pair in model.forecasts for row in _moves(pair, model, champion)]
    moves = table(("pair", "for the close of", "was", "is", "moved"), rows, "<<>>>")
    return f"{facts}\n\n{moves}" if rows else facts


def commits(subjects: str) -> str:
    """The subjects of the commits that a release brings, one a line, as Markdown; empty where there are none."""
    lines = [line for line in map(str.strip, subjects.splitlines()) if line]
    shown = [escape(line, 120) for line in lines[:MOST_COMMITS]]
    if len(lines) > MOST_COMMITS:
        shown.append(f"and {len(lines) - MOST_COMMITS:,} more")
    return bullets(shown)


def revision(card: Card) -> str:
    """The commit in short, as Markdown."""
    return code(card.git_revision[:REVISION_LENGTH]) if card.git_revision else "unknown"


def _release(card: Card, before: Card) -> Iterator[str]:
    same = card.version == before.version
    yield f"version {escape(card.version)}" + (", as before" if same else f", was {escape(before.version)}")
    yield f"build {code(card.build)}, was {code(before.build)}"
    if card.git_revision != before.git_revision:
        yield f"revision {revision(card)}, was {revision(before)}"
    programs = _versions({"python": card.python, **card.packages}, {"python": before.python, **before.packages})
    yield f"packages: {', '.join(programs) or 'as before'}"


def _versions(now: Mapping[str, str], before: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*now, *before}):
        if (is_now := now.get(name)) != (was := before.get(name)):
            yield f"{escape(name)} {escape(is_now or 'gone')}, was {escape(was or 'absent')}"


def _histories(model: Model, champion: Model) -> Iterator[str]:
    before = champion.card.pairs
    for pair, facts in model.card.pairs.items():
        yield f"{pair}: {_history(facts, before[pair])}" if pair in before else f"{pair}: new"
    for pair in before:
        if pair not in model.card.pairs:
            yield f"{pair}: gone"


def _history(facts: PairCard, before: PairCard) -> str:
    days = (facts.last - before.last).days
    added = f"{counted(days, 'day')} of history added" if days >= 0 else f"{counted(-days, 'day')} of history FEWER"
    source = "" if facts.source == before.source else f", from {escape(facts.source)}, was {escape(before.source)}"
    same = ", the very same history" if facts.history_sha256 == before.history_sha256 else ""
    return f"{added}, up to {facts.last:%Y-%m-%d}{source}{same}"


def _moves(pair: Pair, model: Model, champion: Model) -> Iterator[Row]:
    """How both models see the same days; those that the champion cannot see are left out."""
    old, card = champion.forecasts.get(pair), model.card.pairs[pair]
    if old is None:
        return
    before, now = Evaluator(old), Evaluator(model.forecasts[pair])
    for standing in card.forecast:
        try:
            was, price = before.at_close(standing.day).price, now.at_close(standing.day).price
        except OutOfRange:
            continue
        shown = (f"{number:,.{now.decimals}f}" for number in (was, price))
        yield (str(pair), str(standing.day), *shown, f"{price / was - 1:+.2%}" if was else "-")
