"""The releases as an Atom feed (RFC 4287): one entry for each release of a pair, and its forecast in words.

``feed.xml`` has the newest 50 entries, newest first. ``feed/2026-11.xml`` has all entries of a month; these archives
are linked as RFC 5005, section 4, describes. That of the month in which the model was trained still grows, so it is not
marked as an archive, and ``feed.xml`` links it only if its 50 entries do not reach back to its beginning.

The identity of an entry is derived from the digest of its line in the ledger, which never changes, and that of the feed
from the first line. Addresses are absolute if the site's own address is known, otherwise relative to the document's.
"""

import re
import uuid
from datetime import date

from crypto_predict.baked.ledger import Release
from crypto_predict.baked.schema import Model
from crypto_predict.market import DAY, price_decimals
from crypto_predict.version import __version__
from crypto_predict.web.page import html, words
from crypto_predict.web.page.releases import Releases
from crypto_predict.wording import counted, listed

NAME = "feed.xml"  # its address, and its template
ARCHIVE = "feed/{}.xml"  # the address of a month
HORIZONS = (1, 7, 30)  # days after the last candle, in the words of an entry

_IDENTITIES = uuid.UUID("5b1f5e5c-6f0a-4f4e-9d4b-0c6a5c1d2e73")  # the namespace of the identities below
_NO_LEDGER = "no ledger"
# What XML 1.0, section 2.2, does not allow. It is replaced by the sign for an unknown character.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def feed(model: Model, releases: Releases, month: str | None, address: str | None, repository_url: str | None) -> bytes:
    """Return ``feed.xml``, or ``feed/2026-11.xml`` for one of the months of the releases.

    `address` is that of the site, with a slash at its end; None: it is not known. Without a ledger it has no entries.
    Raise `ReleasesUnavailable` while the ledger is read, or if it has changed since the start.
    """
    index, card = releases.index(), model.card
    months, published = list(index.months), list(releases.newest() if month is None else releases.of_month(month))
    links = {"self": NAME} if month is None else {"self": ARCHIVE.format(month), "current": NAME}
    if published:
        place = months.index(str(published[0][0].made_at)[:7])
        is_whole = month is not None or next(releases.of_month(months[place])) == published[0]
        earlier, later = months[: place if is_whole else place + 1], months[place + 1 :] if month else []
        if earlier:
            links["prev-archive"] = ARCHIVE.format(earlier[-1])
        if later:
            links["next-archive"] = ARCHIVE.format(later[0])
    root = "" if month is None else "../"  # makes an address of the site relative to the document
    text = html.render(
        NAME,
        root=root if address is None else address,
        identity=_identity(index.head or _NO_LEDGER),
        pairs=listed([str(pair) for pair in model.forecasts]),
        simulated=card.simulated,
        updated=max((release.made_at for release, _ in published), default=card.trained_at),
        repository_url=repository_url,
        version=__version__,
        is_archive=month is not None and month < str(card.trained_at)[:7],
        links=links,
        entries=[_entry(*entry) for entry in reversed(published)],
    )
    return f"{_NOT_XML.sub(chr(0xFFFD), text)}\n".encode()


def _entry(release: Release, sha256: str) -> dict[str, object]:
    """Return what the template shows of a release: its forecast in words."""
    name, anchor = words.name(release.pair), release.anchor

    def price(amount: float) -> str:
        return words.price(amount, release.pair.quote, price_decimals(anchor.price))

    def ahead(days: int) -> str:
        predicted, low, high = (price(prices[days - 1]) for prices in (release.prediction, release.low, release.high))
        return (
            f"Forecast for the close of {_written(release.last + days * DAY)}, {counted(days, 'day')} ahead: "
            f"{predicted}, with 80 % probability between {low} and {high}."
        )

    now, invented = price(anchor.price), "Simulated: " if release.simulated else ""
    summary = [
        *(["These prices are simulated: no exchange was asked."] if release.simulated else []),
        f"One {name} cost {now} on {_written(anchor.at)} at {anchor.at:%H:%M} UTC.",
        *map(ahead, HORIZONS),
        f"Persistence, the forecast that the price stays as it is, says {now} for each of these days.",
        f"Build {release.build}.",
    ]
    title = f"{invented}{name} at {now}, {price(release.prediction[6])} forecast 7 days ahead"
    return {"release": release, "identity": _identity(sha256), "title": title, "summary": " ".join(summary)}


def _written(day: date) -> str:
    return f"{day.day} {day:%B} {day.year}"


def _identity(digest: str) -> str:
    """Return a name that is unique without an authority (RFC 9562), the same for the same digest."""
    return uuid.uuid5(_IDENTITIES, digest).urn
