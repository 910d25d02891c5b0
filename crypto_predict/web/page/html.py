"""A model as the text of the page. Everything important is text, so that it is readable without scripts.

The templates beside this module are Jinja's, which Flask brings and which escapes every value. A page is rendered once,
not at each request.
"""

from collections.abc import Iterable, Iterator, Sequence
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
from crypto_predict.baked.schema import Backtest, CandidateScore, Model, PairForecast, ProphetScore, Score
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
    assets: Assets


class State(NamedTuple):
    """What a page says that changes without its model."""

    stale: bool = False  # the model, or the newest price of the pair, is too old
    schedule: Schedule | None = None  # None: no training is planned
    overdue: bool = False  # the next training


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
    card, baked = model.card, model.forecasts[pair]
    facts, decimals = card.pairs[pair], price_decimals(baked.last_close)
    pairs = [_listed(answers, listed) for listed in answers.pairs]
    price = round(baked.anchor.price, decimals)
    sentence = words.forecast(model, pair)
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
        price=price,
        priced_at=baked.anchor.at,
        change=_change(baked),
        sentence=sentence,
        sure=words.sure(model, pair),
        good=words.good(model, pair),
        forecast=forecast,
        coarse=words.decimals_of_range(baked.last_close),
        persists=all(line["price"] == price for line in forecast),
        first=baked.first,
        last=baked.last,
        end=baked.end,
        question_day=baked.last + QUESTION_DAYS * DAY,
        above=f"{Decimal(f'{price:.2g}'):f}",
        record=words.record(model, pair),
        summary=words.summary(model, pair),
        backtest=facts.backtest,
        models=dict(_models(facts.backtest)) if facts.backtest else {},
        live=words.live_record(model, pair),
        pairs=pairs,
        menu=[listed for n, listed in enumerate(pairs) if n < MENU_PAIRS or listed["pair"] == str(pair)],
        card=card,
        pair_card=facts,
        passed_over=[_named(reason, pair) for reason in facts.passed_over],
        state=state,
        every=duration(state.schedule.every) if state.schedule else None,
    )


def missing(slug: str | None, pairs: Sequence[Pair], site: Site, root: str) -> str:
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
        pairs=pairs,
    )


def policy(live: str | None) -> str:
    """Return the content security policy of a page: it loads from its own site only, and may ask a `live` one."""
    origins = f"'self' {live}" if live else "'self'"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"connect-src {origins}; base-uri 'none'; form-action {origins}"
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


def _line(answers: Answers, pair: Pair, ahead: int) -> dict[str, Any]:
    """Return a line of the table of the forecast: the close some days after the last candle."""
    series, baked = answers.series[pair, COMBINED], answers.model.forecasts[pair]
    day = baked.last + ahead * DAY
    price = series.row(day).price.price
    quantiles = dict(zip(LEVELS, series.quantiles(day, LEVELS), strict=True))
    ranges = [(quantiles[low], quantiles[high]) for low, high in RANGES]
    return {"day": day, "ahead": ahead, "price": price, "change": price / baked.anchor.price - 1, "ranges": ranges}


def _listed(answers: Answers, pair: Pair) -> dict[str, Any]:
    """Return a pair as the list of pairs shows it, with the 80 % range of the next close."""
    facts, baked = answers.model.card.pairs[pair], answers.model.forecasts[pair]
    following = answers.series[pair, COMBINED].row(baked.last + DAY).price
    return {
        "pair": str(pair),
        "traded": str(facts.traded),
        "slug": pair.slug,
        "name": words.name(pair),
        "decimals": price_decimals(baked.last_close),
        "price": baked.anchor.price,
        "at": baked.anchor.at,
        "change": _change(baked),
        "low": following.low,
        "high": following.high,
        "coarse": words.decimals_of_range(baked.last_close),
        "simulated": facts.simulated,
    }


def _change(baked: PairForecast) -> dict[str, Any] | None:
    """Return how the newest price has changed since the last daily close before it; None if that day has no close."""
    if baked.anchor.at > baked.last_close_time:
        since, close = baked.last, baked.last_close
    elif len(baked.closes) > 1 and (before := baked.closes[-2]):
        since, close = baked.last - DAY, before
    else:
        return None
    return {"share": baked.anchor.price / close - 1, "since": since}


def _named(reason: str, pair: Pair) -> str:
    """Return why a source was not used with the name of the source: ``Binance: it cannot be reached``."""
    source, colon, why = reason.partition(": ")
    return f"{words.source(source, pair)}{colon}{why}"


def _models(backtest: Backtest) -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each model that was tested, with its error at each horizon, and its weight where it has one."""
    horizons = [score.horizon_days for score in backtest.scores]

    def cells(scores: Iterable[Score | ProphetScore | CandidateScore]) -> list[str]:
        texts = {}
        for score in scores:
            weight = getattr(score, "weight", 0.0)
            texts[score.horizon_days] = _ratio(score.relative_mae) + (f" ({weight:.2f})" if weight else "")
        return [texts.get(horizon, _ratio(None)) for horizon in horizons]

    yield "“The price stays as it is”", [_ratio(1.0) for _ in horizons]
    yield "This forecast", cells(backtest.scores)
    for name in dict.fromkeys(score.candidate for score in backtest.candidates):
        title = "Prophet, from the newest price" if name == PROPHET else name.capitalize()
        yield title, cells(score for score in backtest.candidates if score.candidate == name)
    if backtest.prophet:
        yield "Prophet alone, its own curve", cells(backtest.prophet.scores)


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
