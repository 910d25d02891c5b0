"""A model as the text of the page. Everything important is text, so that it is readable without scripts.

The templates beside this module are Jinja's, which Flask brings and which escapes every value. A page is rendered once,
not at each request.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import COMBINED
from crypto_predict.baked.models import Estimate
from crypto_predict.baked.schedule import Schedule
from crypto_predict.baked.schema import Anchor, LiveHourScore, LiveScore, PairForecast
from crypto_predict.baked.touches import TouchScore
from crypto_predict.errors import shortened
from crypto_predict.market import DAY, Pair, price_decimals
from crypto_predict.market.downtime import OutageReport
from crypto_predict.market.forecast import LEVELS
from crypto_predict.version import __version__
from crypto_predict.web.model import risk
from crypto_predict.web.model.answers import Answers
from crypto_predict.web.page import comparison, hindcasts, words
from crypto_predict.web.page.assets import Assets, find
from crypto_predict.wording import counted, duration

CONTENT_TYPE = "text/html; charset=utf-8"
FEED_CONTENT_TYPE = "application/atom+xml; charset=utf-8"

HORIZONS = (1, 2, 3, 7, 14, 30, 60, 90, 180, 365)  # days after the last candle, in the table of the forecast
RANGES = ((0.25, 0.75), (0.1, 0.9), (0.05, 0.95))  # the levels at the ends of its ranges
RISK_DAYS = (1, 7, 30)  # after the last candle, in the table of what may be lost
QUESTION_DAYS = 30  # after the last candle: the day that the form asks for at first
MENU_PAIRS = 6  # above the forecast, before a link to all of them

_NO_BREAK = "\N{NARROW NO-BREAK SPACE}"  # between a number and its sign of percent


@dataclass(frozen=True, slots=True)
class Site:
    """Where and how the page is published."""

    live: bool  # a database is connected: candles, minutes and prices can be asked for
    address: str | None  # of a server itself, or of the live site that an export refers to; None: it is not known
    static: bool  # an export: there is no API at `root`
    stale_after: timedelta  # a model or a newest price older than this is stale
    repository_url: str | None
    assets: Assets = field(default_factory=find)


class State(NamedTuple):
    """What a page says that changes without its model."""

    stale: bool = False  # the model, or the newest price of the pair, is too old
    schedule: Schedule | None = None  # None: no training is planned
    overdue: bool = False  # the next training


def page(answers: Answers, pair: Pair, site: Site, root: str, state: State) -> str:
    """Return the page of one of the pairs; `root` is the prefix of all addresses: ``./`` or ``../../``."""
    model = answers.model
    card, baked = model.card, model.forecasts[pair]
    facts, decimals = card.pairs[pair], price_decimals(baked.last_close)
    price = round(baked.anchor.price, decimals)
    forecast = [_line(answers, pair, ahead) for ahead in HORIZONS]
    past_model = facts.served if facts.served in baked.hindcasts else next(iter(baked.hindcasts), None)
    return _render(
        "page.html",
        site,
        root,
        version=card.version,
        model=model,
        card=card,
        pair=pair,
        facts=facts,
        baked=baked,
        decimals=decimals,
        price=price,
        change=_change(baked),
        sentence=words.forecast(model, pair),
        forecast=forecast,
        starts=_start(answers, pair),
        persists=all(line["price"] == price for line in forecast),
        risks=[_risk(answers, pair, ahead) for ahead in RISK_DAYS],
        question_day=baked.last + QUESTION_DAYS * DAY,
        above=f"{Decimal(f'{price:.2g}'):f}",
        past_model=past_model,
        past=hindcasts.fans(baked, baked.hindcasts[past_model]) if past_model else [],
        past_since=baked.first + baked.hindcasts[past_model].cutoffs[0] * DAY if past_model else None,
        pairs=[_listed(answers, listed) for listed in answers.pairs],
        menu=[listed for n, listed in enumerate(answers.pairs) if n < MENU_PAIRS or listed == pair],
        state=state,
        every=duration(state.schedule.every) if state.schedule else None,
    )


def missing(slug: str | None, pairs: Sequence[Pair], site: Site, root: str) -> str:
    """Return the page that says that the model lacks a pair, of whatever name, or without one that there is no page."""
    name = None if slug is None else shortened(slug)
    return _render("missing.html", site, root, version=__version__, slug=name, pairs=pairs)


def outages(shown: Sequence[OutageReport], title: str, site: Site, root: str, **more: Any) -> str:
    """Return a page of the register of outages, the newest first; `more` are the other values of its template."""
    defaults: dict[str, Any] = {"months": (), "differences": (), "following": None}
    return _render("outages.html", site, root, version=__version__, outages=shown, title=title, **(defaults | more))


def policy(live: str | None) -> str:
    """Return the content security policy of a page: it loads from its own site only, and may ask a `live` one."""
    origins = f"'self' {live}" if live else "'self'"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"connect-src {origins}; base-uri 'none'; form-action {origins}"
    )


def _render(template: str, site: Site, root: str, **values: Any) -> str:
    """Render one of the templates of pages, with what every page has."""
    return render(
        template,
        site=site,
        root=root,
        api=site.address if site.static else root,  # the prefix of its addresses; None: the page does not know one
        built=site.assets.files,
        repository_url=site.repository_url,
        # A server sends it as a header, which can also forbid frames.
        policy=policy(site.address) if site.static else None,
        **values,
    )


def render(template: str, **values: Any) -> str:
    """Render one of the templates beside this module. Every value is escaped, for HTML and XML alike."""
    return _environment().get_template(template).render(values)


def _line(answers: Answers, pair: Pair, ahead: int) -> dict[str, Any]:
    """Return a line of the table of the forecast: the close some days after the last candle."""
    series, baked = answers.of(pair), answers.model.forecasts[pair]
    day = baked.last + ahead * DAY
    price = series.row(day).price.price
    quantiles = dict(zip(LEVELS, series.quantiles(day, LEVELS), strict=True))
    ranges = [(quantiles[low], quantiles[high]) for low, high in RANGES]
    return {
        "day": day,
        "ahead": ahead,
        "price": price,
        "change": price / _start(answers, pair).price - 1,
        "ranges": ranges,
    }


def _risk(answers: Answers, pair: Pair, ahead: int) -> dict[str, Any]:
    """Return what may be lost until the close some days after the last candle."""
    series = answers.of(pair)
    lost = risk.of_row(answers, series, series.row(series.last_candle + ahead * DAY))
    return {"ahead": ahead, "risk": lost}


def _start(answers: Answers, pair: Pair) -> Anchor:
    """Return the price at which the forecast starts: only the combined one has the newest price."""
    baked = answers.model.forecasts[pair]
    if answers.of(pair).model == COMBINED:
        return baked.anchor
    return Anchor(baked.last_close_time, baked.last_close)


def _listed(answers: Answers, pair: Pair) -> dict[str, Any]:
    """Return a pair as the list of pairs shows it, with the 80 % range of the next close."""
    facts, baked = answers.model.card.pairs[pair], answers.model.forecasts[pair]
    following = answers.of(pair).row(baked.last + DAY).price
    return {"pair": pair, "facts": facts, "baked": baked, "following": following, "change": _change(baked)}


def _change(baked: PairForecast) -> dict[str, Any] | None:
    """Return how the newest price has changed since the last daily close before it; None if that day has no close."""
    if baked.anchor.at > baked.last_close_time:
        since, close = baked.last, baked.last_close
    elif len(baked.closes) > 1 and (before := baked.closes[-2]):
        since, close = baked.last - DAY, before
    else:
        return None
    return {"share": baked.anchor.price / close - 1, "since": since}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"comparison": comparison, "price_decimals": price_decimals, "risk": risk, "words": words}
    environment.filters |= {
        "ahead": _ahead,
        "count": lambda number: f"{number:,}",
        "days": lambda number: counted(number, "day"),
        "decimal": lambda number: f"{number:,.1f}",
        "direction": lambda change: "up" if change >= 0 else "down",
        "encoded": plain.encode,
        "duration": lambda seconds: duration(timedelta(seconds=seconds)),
        "estimate": _estimate,
        "held": _held,
        "minutes": lambda number: counted(number, "minute"),
        "month": lambda month: f"{month:%Y-%m}",
        "percent": lambda share: f"{100 * share:.2f}{_NO_BREAK}%",
        "price": lambda price, decimals: f"{price:,.{decimals}f}",
        "ratio": _ratio,
        "share": lambda share: f"{100 * share:.1f}{_NO_BREAK}%",
        "signed": _signed,
        "written": _written,
    }
    return environment


def _ahead(score: LiveScore | LiveHourScore | TouchScore) -> str:
    return counted(*score.horizon)


def _ratio(ratio: float | None) -> str:
    return "not known" if ratio is None else f"{ratio:.3f}"


def _estimate(estimate: Estimate | None, factor: int = 1, decimals: int = 3) -> str:
    """Format a figure with its confidence interval, if it has one: ``0.985 (0.970 to 1.001)``, with a dash."""
    if estimate is None:
        return _ratio(None)
    ends = [f"{factor * end:.{decimals}f}" for end in (estimate.low, estimate.high) if end is not None]
    interval = "\N{EN DASH}".join(ends)
    return f"{factor * estimate.value:.{decimals}f}" + (f" ({interval})" if ends else "")


def _held(score: LiveScore | LiveHourScore) -> str:
    """Format how often the range held of 100 times, as `_estimate` does: ``81 (78 to 84)``, with a dash."""
    interval = score.coverage_confidence
    ends = (interval.low, interval.high) if interval else (None, None)
    return _estimate(Estimate(score.coverage, *ends), 100, 0)


def _signed(share: float) -> str:
    """Format a change: ``+1.25 %``."""
    percent = round(100 * share, 2)
    return f"{percent:+,.2f}{_NO_BREAK}%".replace("-", "\N{MINUS SIGN}") if percent else f"0.00{_NO_BREAK}%"


def _written(moment: date | datetime) -> str:
    """Format a day, or an instant in UTC, as the charts do: ``2025-07-01``, ``2025-07-01 00:00 UTC``."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if isinstance(moment, datetime) else str(moment)
