"""Swagger UI from local files: the library's own scripts and styles, and a page that loads nothing from elsewhere."""

from __future__ import annotations

from functools import cache
from importlib import resources

from crypto_predict.baked.schema import Card
from crypto_predict.wording import listed

PAGE_TYPE = "text/html; charset=utf-8"
START = "start.js"

# Every file of the page, and its type: what the system's own table says differs from machine to machine.
FILES = {
    START: "text/javascript; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}

# Nothing but this server may be asked for anything. Swagger UI writes styles into the page, and its icons are `data:`.
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)

_PAGE = f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Crypto Predict</title>
<link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body style="margin: 0">
{{banner}}<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/{START}"></script>
</body>
</html>
"""

_BANNER = """\
<p role="alert" style="margin: 0; padding: 16px; background: #b00020; color: #ffffff; font: bold 18px sans-serif; \
text-align: center">The prices of {pairs} are simulated: every answer about them is invented.</p>
"""

# Without validatorUrl, Swagger UI would send the document's address to a validator on the internet.
_START_SCRIPT = """\
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  validatorUrl: null,
  deepLinking: true,
  displayRequestDuration: true,
});
"""


def page(card: Card) -> str:
    """The page; a banner names the pairs whose prices are invented, if any are."""
    invented = [str(pair) for pair, facts in card.pairs.items() if facts.simulated]
    return _PAGE.format(banner=_BANNER.format(pairs=listed(invented)) if card.simulated else "")


@cache
def read(name: str) -> bytes:
    """The content of one of `FILES`."""
    if name == START:
        return _START_SCRIPT.encode()
    return resources.files("flask_swagger_ui").joinpath("dist", name).read_bytes()
