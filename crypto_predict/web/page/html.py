"""A model as the text of the page. Everything important is text, so that it is readable without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from html import escape
from importlib import resources
from string import Template

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import COMBINED
from crypto_predict.market import DAY, Pair, price_decimals
from crypto_predict.web.answers import Answers
from crypto_predict.web.page.assets import Assets
from crypto_predict.web.questions import shortened
from crypto_predict.wording import listed

CONTENT_TYPE = "text/html; charset=utf-8"
SHOWN_DAYS = 30  # in the table of the forecast


@dataclass(frozen=True, slots=True)
class Site:
    """Where and how the page is published."""

    live: bool  # a database is connected: candles, minutes and prices can be asked for
    address: str | None  # of the live site, in a static export that knows it; None on a server
    static: bool  # an export: there is no API at `root`
    stale_after: timedelta  # a model or a newest price older than this is stale
    retrain_every: timedelta
    repository_url: str | None
    assets: Assets


def page(answers: Answers, pair: Pair, site: Site, root: str, *, stale: bool) -> str:
    """Return the page of a pair; `root` is the prefix of all addresses: ``./`` or ``../../``.

    A page that is `stale` says so.
    """
    card, held = answers.model.card, answers.model.forecasts[pair]
    facts = card.pairs[pair]
    banners = []
    if facts.simulated:
        banners.append(f"The prices of {pair} are simulated: every answer about them is invented.")
    if stale:
        banners.append(f"This forecast is stale: its newest price is of {held.anchor.at:%Y-%m-%d %H:%M} UTC.")
    built = site.assets.files
    head = [f'<link rel="canonical" href="{escape(root)}page/{pair.slug}/">']
    head.append(f'<link rel="alternate" type="application/atom+xml" title="Every release" href="{root}feed.xml">')
    if "style.css" in built:
        head.append(f'<link rel="stylesheet" href="{root}page/built/{built["style.css"]}">')
    if "icon.svg" in built:
        head.append(f'<link rel="icon" type="image/svg+xml" href="{root}page/built/{built["icon.svg"]}">')
    if "main.js" in built:
        head.append(f'<script type="module" src="{root}page/built/{built["main.js"]}"></script>')
    values = {
        "root": root,
        "live": str(site.live).lower(),
        "static": str(site.static).lower(),
        "site": site.address or "",
        "pair": str(pair),
        "slug": pair.slug,
        "decimals": str(price_decimals(held.last_close)),
        "simulated": str(facts.simulated).lower(),
        "trained_at": plain.encode(card.trained_at),
        "stale_after": str(site.stale_after // timedelta(seconds=1)),
        "retrain_every": str(site.retrain_every // timedelta(seconds=1)),
        "title": f"{pair}: forecast, its interval and its record - Crypto Predict",
        "description": f"How much will {pair} be? A forecast for every day of a year, and how good it has been.",
    }
    html = {
        "head": "\n".join(head),
        "banner": "".join(f'<p class="banner" role="alert">{escape(text)}</p>' for text in banners),
        "forecast": _forecast(answers, pair),
        "ask": _section("ask", "Ask"),
        "record": _section("record", "The record", *_record(answers, pair)),
        "minutes": _section("minutes", "The next minutes"),
        "pairs": _section("pairs", "Pairs", _pairs(answers, root)),
        "model": _section("model", "The model", f"<p>Release {escape(card.build)}.</p>"),
        "about": _section("about", "About"),
        "footer": "<p>Crypto Predict</p>",
    }
    return _template().substitute({name: escape(value) for name, value in values.items()} | html)


def missing(slug: str, held: Sequence[Pair], root: str) -> str:
    """Return the page that says that the model does not hold a pair, of which a client may have sent any name."""
    links = listed([f'<a href="{root}page/{pair.slug}/">{pair}</a>' for pair in held])
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Not found - Crypto Predict</title>\n'
        f"</head>\n<body>\n<h1>There is no forecast of {escape(shortened(slug))}</h1>\n"
        f"<p>This model holds {links}.</p>\n</body>\n</html>\n"
    )


def _section(name: str, title: str, *content: str) -> str:
    return "\n".join([f'<h2 id="{name}-title">{escape(title)}</h2>', *content])


def _forecast(answers: Answers, pair: Pair) -> str:
    series, held = answers.series[pair, COMBINED], answers.model.forecasts[pair]
    rows = [series.row(held.last + n * DAY) for n in range(1, SHOWN_DAYS + 1)]
    last = rows[-1]
    sentence = (
        f"On {last.moment} one {pair.base} will cost about {last.price.price:,} {pair.quote}, "
        f"with 80 % probability between {last.price.low:,} and {last.price.high:,}."
    )
    lines = [
        f'<tr><th scope="row">{row.moment}</th><td>{row.price.price}</td><td>{row.price.low}</td>'
        f"<td>{row.price.high}</td></tr>"
        for row in rows
    ]
    head = "<tr><th>Day (UTC)</th><th>Forecast</th><th>Low</th><th>High</th></tr>"
    table = f"<table><thead>{head}</thead><tbody>{''.join(lines)}</tbody></table>"
    return _section("forecast", f"{pair}: the forecast", f"<p>{escape(sentence)}</p>", table)


def _record(answers: Answers, pair: Pair) -> list[str]:
    backtest = answers.model.card.pairs[pair].backtest
    return [f"<p>{escape(score.words)}</p>" for score in backtest.scores] if backtest else []


def _pairs(answers: Answers, root: str) -> str:
    links = [f'<a href="{root}page/{pair.slug}/">{pair}</a>' for pair in answers.held]
    return f"<p>{listed(links)}</p>"


@cache
def _template() -> Template:
    return Template(resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
