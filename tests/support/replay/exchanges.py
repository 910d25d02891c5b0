"""The venues of all exchanges, for what holds for each of them."""

from pkgutil import resolve_name

from crypto_predict.sources.catalog import EXCHANGES
from tests.support.replay.venue import Venue

VENUES: tuple[Venue, ...] = tuple(resolve_name(f"tests.support.replay.{name}:VENUE") for name in EXCHANGES)
