"""A model as the text of the page. Everything important is text, so that it is readable without scripts.

The templates beside this module are Jinja's, which Flask brings and which escapes every value. A page is rendered once,
not at each request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import COMBINED, PROPHET
from crypto_predict.baked.schedule import Schedule
from crypto_predict.baked.schema import Backtest, Model, PairForecast
from crypto_predict.errors import shortened
from crypto_predict.market import DAY, Pair, price_decimals
from crypto_predict.market.forecast import LEVELS
from crypto_predict.version import __version__
from crypto_predict.web.model.answers import Answers
from crypto_predict.web.page import words
from crypto_predict.web.page.assets import Assets
from crypto_predict.wording import duration

CONTENT_TYPE = "text/html; charset=utf-8"

HORIZONS = (1, 2, 3, 7, 14, 30, 60, 90, 180, 365)  # days after the last candle, in the table of the forecast
RANGES = ((0.25, 0.75), (0.1, 0.9), (0.05, 0.95))  # the levels at the ends of its ranges
ASKED_DAYS = 30  # after the last candle: the day that the form asks for at first
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
    assets: Assets


class State(NamedTuple):
    """What a page says that changes without its model."""

    stale: bool = False  # the model, or the newest price of the pair, is too old
    schedule: Schedule | None = None  # None: no training is planned
    overdue: bool = False  # the next training


class Change(NamedTuple):
    """How far the newest price is from the daily close before it."""

    share: float  # of that close
    since: date


class Line(NamedTuple):
    """A line of the table of the forecast."""

    day: date
    ahead: int  # days after the last candle
    price: float
    change: float  # from the newest price, as a share of it
    ranges: list[tuple[float, float]]  # (3,) of `RANGES`


class Listed(NamedTuple):
    """A pair of the model, as the list of pairs shows it."""

    pair: str
    traded: str  # what the source of its prices trades in its place
    slug: str
    name: str
    decimals: int
    price: float
    at: datetime  # of that price
    change: Change | None  # None: the day before has no close
    low: float  # of the 80 % range of the next close
    high: float
    coarse: int  # decimals of the range
    simulated: bool


def page(
    answers: Answers,
    pair: Pair,
    site: Site,
    root: str,
    state: State,
) -> str:
    """Return the page of a pair; `root` is the prefix of all addresses: ``./`` or ``../../``.

    Raises:
        KeyError: The model does not have the pair.
    """
    model = answers.model
    card, held = model.card, model.forecasts[pair]
    facts, decimals = card.pairs[pair], price_decimals(held.last_close)
    pairs = [_listed(answers, one) for one in answers.held]
    priced = round(held.anchor.price, decimals)
    sentence = words.forecast(model, pair)
    live = (model.scorecard.simulated if facts.simulated else model.scorecard.pairs).get(pair)
    forecast = [_line(answers, pair, ahead) for ahead in HORIZONS]
    return _render(
        "page.html",
        site,
        root,
        version=card.version,
        facts=_facts(answers, pair, site, root, state.schedule),
        title=f"{pair}: price forecast and how good it has been - Crypto Predict",
        description=f"{sentence} Shown beside what really happened to every earlier forecast.",
        canonical=f"{site.address}page/{pair.slug}/" if site.address else None,
        banners=_banners(model, pair, stale=state.stale),
        pair=str(pair),
        pair_value=pair,
        slug=pair.slug,
        name=words.name(pair),
        quote=pair.quote,
        decimals=decimals,
        price=priced,
        priced_at=held.anchor.at,
        change=_change(held),
        sentence=sentence,
        sure=words.sure(model, pair),
        good=words.good(model, pair),
        forecast=forecast,
        coarse=words.decimals_of_range(held.last_close),
        persists=all(row.price == priced for row in forecast),
        first=held.first,
        last=held.last,
        end=held.end,
        asked=held.last + ASKED_DAYS * DAY,
        above=f"{Decimal(f'{priced:.2g}'):f}",
        record=words.record(model, pair),
        summary=words.summary(model, pair),
        backtest=facts.backtest,
        models=dict(_models(facts.backtest)) if facts.backtest else {},
        live=live,
        pairs=pairs,
        menu=_menu(pairs, str(pair)),
        card=card,
        pair_card=facts,
        passed_over=[_named(reason, pair) for reason in facts.passed_over],
        state=state,
        every=duration(state.schedule.every) if state.schedule else None,
    )


def missing(slug: str | None, held: Sequence[Pair], site: Site, root: str) -> str:
    """Return the page that says that the model does not have a pair, for which a client may have sent any name.

    Without a name it says that an address does not exist.
    """
    return _render(
        "missing.html",
        site,
        root,
        version=__version__,
        facts={},
        title="Not found - Crypto Predict",
        description="This address does not exist.",
        canonical=None,
        banners={},
        slug=None if slug is None else shortened(slug),
        pairs=held,
    )


def policy(live: str | None) -> str:
    """Return the content security policy of a page: it loads from its own site only, and may ask a `live` one."""
    asked = f"'self' {live}" if live else "'self'"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"connect-src {asked}; base-uri 'none'; form-action {asked}"
    )


def _api(site: Site, root: str) -> str | None:
    """Return the prefix of the addresses of the API; None where the page does not know one."""
    return site.address if site.static else root


def _render(template: str, site: Site, root: str, **values: Any) -> str:
    """Render one of the templates of pages, with what every page has."""
    return render(
        template,
        root=root,
        api=_api(site, root),
        built=site.assets.files,
        repository_url=site.repository_url,
        notice=site.assets.notice,
        # A server sends it as a header, which can also forbid frames.
        policy=policy(site.address) if site.static else None,
        **values,
    )


def render(template: str, **values: Any) -> str:
    """Render one of the templates beside this module. Every value is escaped, for HTML and XML alike."""
    return _environment().get_template(template).render(values)


def _facts(answers: Answers, pair: Pair, site: Site, root: str, schedule: Schedule | None) -> dict[str, str]:
    """Return what the page tells its scripts, by the names of the attributes of its body, without ``data-``."""
    card = answers.model.card
    return {
        "root": root,
        "live": str(site.live).lower(),
        "site": _api(site, root) or "",  # the prefix of the API
        "pair": str(pair),
        "traded": str(card.pairs[pair].traded),
        "slug": pair.slug,
        "decimals": str(price_decimals(answers.model.forecasts[pair].last_close)),
        "simulated": str(card.pairs[pair].simulated).lower(),
        "trained-at": str(plain.encode(card.trained_at)),
        "stale-after": str(site.stale_after // timedelta(seconds=1)),
        "next-training": str(plain.encode(schedule.next_at)) if schedule else "",
    }


def _banners(model: Model, pair: Pair, *, stale: bool) -> dict[str, str]:
    """Return the warnings by their kinds, by which a script finds those that are there."""
    banners = {}
    if model.card.pairs[pair].simulated:
        banners["simulated"] = f"The prices of {pair} are simulated: everything about them on this page is invented."
    if stale:
        newest = _written(model.forecasts[pair].anchor.at)
        banners["stale"] = f"This forecast is stale: its newest price is of {newest}. Newer prices are not in it."
    return banners


def _line(answers: Answers, pair: Pair, ahead: int) -> Line:
    series, held = answers.series[pair, COMBINED], answers.model.forecasts[pair]
    day = held.last + ahead * DAY
    price = series.row(day).price.price
    quantiles = dict(zip(LEVELS, series.quantiles(day, LEVELS), strict=True))
    ranges = [(quantiles[low], quantiles[high]) for low, high in RANGES]
    return Line(day, ahead, price, price / held.anchor.price - 1, ranges)


def _listed(answers: Answers, pair: Pair) -> Listed:
    series, held = answers.series[pair, COMBINED], answers.model.forecasts[pair]
    following = series.row(held.last + DAY).price
    return Listed(
        str(pair),
        str(answers.model.card.pairs[pair].traded),
        pair.slug,
        words.name(pair),
        price_decimals(held.last_close),
        held.anchor.price,
        held.anchor.at,
        _change(held),
        following.low,
        following.high,
        words.decimals_of_range(held.last_close),
        answers.model.card.pairs[pair].simulated,
    )


def _change(held: PairForecast) -> Change | None:
    """Return how the newest price has changed since the last daily close before it; None if that day has no close."""
    if held.anchor.at > held.last_close_time:
        return Change(held.anchor.price / held.last_close - 1, held.last)
    before = held.closes[-2] if len(held.closes) > 1 else None
    return Change(held.anchor.price / before - 1, held.last - DAY) if before else None


def _named(reason: str, pair: Pair) -> str:
    """Return why a source was not used with the name of the source: ``Binance: it cannot be reached``."""
    source, colon, why = reason.partition(": ")
    return f"{words.source(source, pair)}{colon}{why}"


def _models(backtest: Backtest) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each model that was tested, with its error at each horizon, and its weight where it has one."""
    horizons = [score.horizon_days for score in backtest.scores]

    def cells(errors: Mapping[int, float | None], weights: Mapping[int, float]) -> list[str]:
        return [
            _ratio(errors.get(horizon)) + (f" ({weights[horizon]:.2f})" if weights.get(horizon) else "")
            for horizon in horizons
        ]

    yield "“The price stays as it is”", cells(dict.fromkeys(horizons, 1.0), {})
    yield "This forecast", cells({score.horizon_days: score.relative_mae for score in backtest.scores}, {})
    for name in dict.fromkeys(one.candidate for one in backtest.candidates):
        found = [one for one in backtest.candidates if one.candidate == name]
        errors = {one.horizon_days: one.relative_mae for one in found}
        title = "Prophet, from the newest price" if name == PROPHET else name.capitalize()
        yield title, cells(errors, {one.horizon_days: one.weight for one in found})
    if backtest.prophet:
        alone = {one.horizon_days: one.relative_mae for one in backtest.prophet.scores}
        yield "Prophet alone, its own curve", cells(alone, {})


def _menu(pairs: Sequence[Listed], shown: str) -> list[Listed]:
    """Return the first pairs, and the one that is shown if it is not among them."""
    return [one for n, one in enumerate(pairs) if n < MENU_PAIRS or one.pair == shown]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": lambda number: f"{number:,}",
        "day": _day,
        "direction": lambda change: "up" if change >= 0 else "down",
        "instant": _instant,
        "price": lambda price, decimals: f"{price:,.{decimals}f}",
        "ratio": _ratio,
        "share": lambda share: f"{100 * share:.1f}{_NO_BREAK}%",
        "signed": _signed,
        "source": words.source,
        "written": _written,
    }
    return environment


def _ratio(ratio: float | None) -> str:
    return "not known" if ratio is None else f"{ratio:.3f}"


def _signed(share: float) -> str:
    """Format a change: ``+1.25 %``."""
    percent = round(100 * share, 2)
    return f"{percent:+,.2f}{_NO_BREAK}%".replace("-", "\N{MINUS SIGN}") if percent else f"0.00{_NO_BREAK}%"


def _written(moment: date | datetime) -> str:
    """Format a day, or an instant in UTC, as the charts do: ``2025-07-01``, ``2025-07-01 00:00 UTC``."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if isinstance(moment, datetime) else str(moment)


def _instant(moment: datetime) -> Markup:
    return Markup('<time datetime="{}">{}</time>').format(plain.encode(moment), _written(moment))


def _day(moment: date | datetime) -> Markup:
    day = moment.astimezone(UTC).date() if isinstance(moment, datetime) else moment
    return Markup('<time datetime="{}">{}</time>').format(day, day)
