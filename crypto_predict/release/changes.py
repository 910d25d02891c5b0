"""What changed since the last model: version, packages, history, forecast."""

from __future__ import annotations

from collections.abc import Iterator

from crypto_predict.baked.evaluation import Evaluator
from crypto_predict.baked.schema import Card, Model, PairCard
from crypto_predict.errors import OutOfRange
from crypto_predict.market import Pair
from crypto_predict.release.markdown import bullets, code, escape, table
from crypto_predict.wording import counted


def changes(model: Model, champion: Model) -> str:
    """Return the differences between a model and the one released before it, as Markdown."""
    facts = bullets([*_release(model.card, champion.card), *_histories(model, champion)])
    rows = [row for pair in model.forecasts for row in _moves(pair, model, champion)]
    moves = table(("pair", "for the close of", "was", "is", "moved"), rows, "<<>>>")
    return f"{facts}\n\n{moves}" if rows else facts


def _release(card: Card, before: Card) -> Iterator[str]:
    yield f"build {code(card.build)}, was {code(before.build)}"
    now, was = ({"python": one.python, **one.packages} for one in (card, before))
    moved = [
        f"{escape(name)} {escape(now.get(name, 'removed'))}, was {escape(was.get(name, 'absent'))}"
        for name in sorted({*now, *was})
        if now.get(name) != was.get(name)
    ]
    yield f"packages: {'; '.join(moved) or 'as before'}"


def _histories(model: Model, champion: Model) -> Iterator[str]:
    before = champion.card.pairs
    for pair, facts in model.card.pairs.items():
        yield f"{pair}: {_history(facts, before[pair]) if pair in before else 'new'}"
    yield from (f"{pair}: removed" for pair in before if pair not in model.card.pairs)


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
    for standing in model.card.pairs[pair].forecast:
        try:
            was, price = before.at_close(standing.day).price, now.at_close(standing.day).price
        except OutOfRange:
            continue
        shown = (f"{number:,.{now.decimals}f}" for number in (was, price))
        yield (str(pair), str(standing.day), *shown, f"{price / was - 1:+z.2%}" if was else "-")
