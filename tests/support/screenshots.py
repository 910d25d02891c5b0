"""Take the pictures of the page in `docs/`; as a command (``python -m tests.support.screenshots MODEL``).

They show the model that is named, whose ledger should be beside it. Its age does not matter.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image  # which matplotlib brings

from tests.support.browser import PHONE, Browser, Screen, browsing
from tests.support.serving import ROOT, serving

COLOURS = 256  # of a picture; the page has few, and a third of the bytes is left
DESKTOP = Screen(1280, 800, is_phone=False)
PICTURES = {  # by the name of the file: the screen, and whether it is dark
    "page-light.png": (DESKTOP, False),
    "page-dark.png": (DESKTOP, True),
    "page-phone.png": (PHONE, False),
}


def take(browser: Browser, url: str, name: str) -> bytes:
    """Return the first screen of a page, one of `PICTURES`, as a PNG of few colours."""
    screen, dark = PICTURES[name]
    browser.reset()
    browser.look(screen, dark=dark)
    browser.open(url)
    browser.one("#forecast-chart .values")  # it is below the drawn chart
    browser.one("#release select")
    browser.run("document.documentElement.style.scrollbarWidth = 'none'")
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(browser.driver.get_screenshot_as_png())) as image:
        # Coverage and refinement, not the median cut: a thin line keeps its colour beside large areas.
        few = image.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE)
        few.save(buffer, "png", optimize=True)
    return buffer.getvalue()


def main() -> None:
    model = Path(sys.argv[1])
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(model, "--stale-after", "9999d") as served,
        browsing(Path(folder)) as browser,
    ):
        for name in PICTURES:
            (ROOT / "docs" / name).write_bytes(take(browser, served.url, name))


if __name__ == "__main__":
    main()
