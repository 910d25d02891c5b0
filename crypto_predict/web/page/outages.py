"""The register of outages as pages and as an Atom feed (RFC 4287), of the database that is served.

``page/outages/`` has the newest outages and the downtime of each month, ``page/outages/2026-06/`` those of a month, and
``page/outages/binance-20260603T101502Z/`` one outage, under its name, which stays. The identity of an entry of the feed
is derived from that name.
"""

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from flask import Flask, Response

from crypto_predict.market import DAY, EPOCH, Span
from crypto_predict.market.downtime import OutageReport, report, report_difference, whole_months
from crypto_predict.market.register import OutageKey
from crypto_predict.version import __version__
from crypto_predict.web.collected.calls import Call
from crypto_predict.web.collected.endpoint import LATEST, instant
from crypto_predict.web.collected.outages import LASTS, NoSuchOutage
from crypto_predict.web.http.response import Headers, Rendered
from crypto_predict.web.page import html
from crypto_predict.web.page.html import Site
from crypto_predict.web.page.pages import SECURITY
from crypto_predict.wording import counted, duration

REGISTER, ENTRY, FEED = "/page/outages/", "/page/outages/<name>/", "/page/outages/feed.xml"
RULES = (REGISTER, ENTRY, FEED)
NEWEST, OF_MONTH, FED = 100, 1_000, 50  # outages
SHOWN_PAIRS = 3  # of an outage in the feed, before their number

_AWAY = {"exchange": "the exchange was down", "connection": "no connection", "collector": "the collector was away"}
_MONTH = re.compile("(19[7-9]|2[0-9]{2})[0-9]-(0[1-9]|1[0-2])")
_IDENTITIES = uuid.UUID("0d5f3f0e-5b8a-4a53-8d0a-9f3b0e0c7a11")  # the namespace of the identities of the feed


def add_routes(app: Flask, call: Callable[[], Call], site: Site) -> None:
    """Add the addresses of the register. Their errors are those of `Call.reading`, and `NoSuchOutage`."""
    app.add_url_rule(REGISTER, REGISTER, lambda: _sent(_register(call(), site)))
    app.add_url_rule(ENTRY, ENTRY, lambda name: _sent(_entry(call(), site, name)))
    app.add_url_rule(FEED, FEED, lambda: _sent(_feed(call(), site)))


def _register(call: Call, site: Site) -> Rendered:
    with call.reading() as reader:
        outages = reader.outages(Span(EPOCH, LATEST), NEWEST, call.now)
        months = reader.outage_months(Span(EPOCH, call.now), call.now)
        differences = list(map(report_difference, reader.differences()))
    following = instant(outages[-1].span.start) if len(outages) >= NEWEST else None
    body = html.outages(
        list(map(report, outages)),
        "Outages",
        site,
        "../../",
        months=months,
        differences=differences,
        following=following,
    )
    return _page(call, body)


def _entry(call: Call, site: Site, name: str) -> Rendered:
    """Return the page of a month, or of an outage by its name."""
    return _month(call, site, name) if _MONTH.fullmatch(name) else _outage(call, site, OutageKey.parse(name))


def _month(call: Call, site: Site, name: str) -> Rendered:
    first = datetime(int(name[:4]), int(name[5:]), 1, tzinfo=UTC)
    span = whole_months(Span(first, first + DAY))
    with call.reading() as reader:
        outages = reader.outages(span, OF_MONTH, call.now)
        months = reader.outage_months(span, call.now)
    shown, title = list(map(report, outages)), f"Outages of {name}"
    return _page(call, html.outages(shown, title, site, "../../../", months=months))


def _outage(call: Call, site: Site, key: OutageKey) -> Rendered:
    with call.reading() as reader:
        outage = reader.outage(key, call.now)
    if outage is None:
        raise NoSuchOutage(key)
    title = f"Outage of {outage.source}, {outage.span.start:%Y-%m-%d %H:%M} UTC"
    return _page(call, html.outages([report(outage)], title, site, "../../../"))


def _feed(call: Call, site: Site) -> Rendered:
    with call.reading() as reader:
        outages = list(map(report, reader.outages(Span(EPOCH, LATEST), FED, call.now)))
    text = html.render(
        "outages.xml",
        root=site.address or "../../",
        identity=_identity(REGISTER),
        updated=max((outage.end or outage.start for outage in outages), default=EPOCH),
        version=__version__,
        entries=[
            {"outage": outage, "identity": _identity(outage.id), "title": _title(outage), "summary": _summary(outage)}
            for outage in outages
        ],
    )
    return _page(call, text, html.FEED_CONTENT_TYPE)


def _page(call: Call, text: str, content_type: str = html.CONTENT_TYPE) -> Rendered:
    body = text.encode()
    headers: Headers = [("Content-Type", content_type), ("Content-Length", str(len(body))), *SECURITY]
    return call.live(Rendered(body, headers), LASTS)


def _sent(answer: Rendered) -> Response:
    return Response(answer.body, answer.status, answer.headers)


def _title(outage: OutageReport) -> str:
    length = duration(timedelta(seconds=outage.seconds))
    lasting = f"for {length}" if outage.end else f"for {length} so far"
    return f"{outage.source}: {_AWAY[outage.cause]} {lasting}"


def _summary(outage: OutageReport) -> str:
    """Return an outage in words."""
    end = f"to {outage.end:%Y-%m-%d %H:%M}" if outage.end else "on; it has not ended"
    counts = {
        "filled later": outage.filled,
        "awaited": outage.awaited,
        "lost": outage.lost,
        "rejected": outage.rejected,
    }
    fates = ", ".join(f"{count:,} {fate}" for fate, count in counts.items() if count)
    pairs = ", ".join(map(str, outage.pairs[:SHOWN_PAIRS]))
    more = f" and {len(outage.pairs) - SHOWN_PAIRS} more" if len(outage.pairs) > SHOWN_PAIRS else ""
    minutes = f"{counted(outage.minutes, 'minute')} of {counted(len(outage.pairs), 'pair')} ({pairs}{more})"
    return f"From {outage.start:%Y-%m-%d %H:%M} UTC {end}: {outage.reason}. {minutes}{': ' if fates else ''}{fates}."


def _identity(name: str) -> str:
    return uuid.uuid5(_IDENTITIES, name).urn
