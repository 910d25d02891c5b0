"""Swagger UI from local files: the library's scripts and styles, and a page that loads nothing from elsewhere."""

import gzip
from functools import cache
from importlib import resources

from crypto_predict.baked.schema import Card
from crypto_predict.wording import listed

PAGE_TYPE = "text/html; charset=utf-8"

# The files of the page and their types, which the system's own table would make depend on the machine.
FILES = {
    "start.js": "text/javascript; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}

# The page may load from this server only. Swagger UI writes styles into the page, and its icons are `data:`.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_BANNER = """\
<p role="alert" style="margin: 0; padding: 16px; background: #b00020; color: #ffffff; font: bold 18px sans-serif; \
text-align: center">The prices of {pairs} are simulated: every answer about them is invented.</p>
"""


def page(card: Card) -> str:
    """Return the page; a banner names the pairs whose prices are invented, if any are."""
    invented = [str(pair) for pair, facts in card.pairs.items() if facts.simulated]
    return read("page.html").decode().format(banner=_BANNER.format(pairs=listed(invented)) if card.simulated else "")


@cache
def read(name: str) -> bytes:
    """Return a file of this package or else of Swagger UI, whose large files the image has as ``.gz`` only."""
    own = resources.files(__package__).joinpath(name)
    if own.is_file():
        return own.read_bytes()
    library = resources.files("flask_swagger_ui").joinpath("dist")
    compressed = library.joinpath(f"{name}.gz")
    return gzip.decompress(compressed.read_bytes()) if compressed.is_file() else library.joinpath(name).read_bytes()
