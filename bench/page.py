"""The page in a browser: what a visit transfers, when its chart is drawn, and what an update takes.

``python -m bench.page --minutes 5`` watches a page with a live collector for longer.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

from bench import models
from bench.figures import Figure, table
from crypto_predict.web.page.assets import BUILT
from tests.support.browser import Browser, browsing
from tests.support.lighthouse import audit
from tests.support.pages import NOW, growing, serving_at
from tests.support.serving import serving

ROOT = Path(__file__).resolve().parent.parent
VISITS = 5
FIRST_VISIT, HTML, LATER_VISIT = 130, 40, 5  # kB
DRAWN, UPDATED, LONGEST_TASK = 350, 25, 50  # ms
GROWTH = 1.1  # of the memory of scripts, once the first minute has passed
SCORE = 95
SETTLED = 1.5  # seconds without a request
CHARTS = ROOT / "bench" / "charts"
WARM_UP = 1  # minutes


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.page", description=__doc__)
    parser.add_argument("--minutes", type=int, default=1, help="of the page with a live collector (default: 1)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(table(list(measure(Path(folder), options.minutes))))


def measure(folder: Path, minutes: int = 1) -> Iterator[Figure]:
    """Measure the page of a model with a database, in `folder`, and of a collector for so many `minutes`."""
    model = folder / "model.pkl"
    models.bake("simulated", model)
    with browsing(folder) as browser:
        with growing(folder / "market.db"), serving_at(NOW, model, folder / "market.db") as served:
            yield from _visits(browser, served.url)
        yield from _updates(browser, folder)
        yield from _live(browser, model, folder / "live.db", minutes)
    with serving(model) as alone:
        for category, score in audit(alone.url).items():
            yield Figure(f"page: Lighthouse, {category}", score, SCORE, "limit", "", 1, at_least=True)


def _visits(browser: Browser, url: str) -> Iterator[Figure]:
    """Measure first visits, the whole page read to its end, and a later one."""
    drawn, first = [], {}
    for _ in range(VISITS):
        browser.reset()
        browser.set_clock(NOW - datetime.now(UTC))
        browser.open(url)
        browser.until(lambda: browser.run("return performance.getEntriesByName('chart-drawn').length"), "the chart")
        drawn.append(browser.run("return performance.getEntriesByName('chart-drawn')[0].startTime"))
        first = _read_to_the_end(browser)
    browser.open(url)
    later = _read_to_the_end(browser)
    page = first[f"{url}/"]
    yield Figure("page: first visit, compressed", sum(first.values()) / 1e3, FIRST_VISIT, "limit", "kB", 1)
    yield Figure("page: its HTML, compressed", page / 1e3, HTML, "limit", "kB", 1)
    yield Figure("page: later visit", sum(later.values()) / 1e3, sum(first.values()) / 1e3, "the first", "kB", 0.2)
    yield Figure(f"page: chart drawn, median of {VISITS}", statistics.median(drawn), DRAWN, "limit", "ms", 1)
    for address, size in sorted(first.items(), key=lambda item: -item[1]):
        print(f"{size / 1e3:8.1f} kB  {urlsplit(address).path}?{urlsplit(address).query}", file=sys.stderr)


def _read_to_the_end(browser: Browser) -> dict[str, int]:
    """Scroll through the page; return the bytes of each address, once nothing is transferred any more."""
    found: dict[str, int] = {}
    quiet_since = time.monotonic()
    while time.monotonic() < quiet_since + SETTLED:
        browser.run("scrollBy(0, innerHeight / 2)")
        if new := browser.transfers():
            found |= new
            quiet_since = time.monotonic()
        time.sleep(0.1)
    return found


def _updates(browser: Browser, folder: Path) -> Iterator[Figure]:
    """Measure updates of a chart with 2,000 candles and a band, ours and plotly's."""
    site = folder / "charts"
    site.mkdir()
    plotly = resources.files("plotly") / "package_data" / "plotly.min.js"
    (site / "plotly.min.js").write_bytes(plotly.read_bytes())
    (style,) = BUILT.glob("style-*.css")
    shutil.copy(style, site / "style.css")
    medians = {}
    with _static(site) as url:
        for name, library in (("ours", ""), ("plotly", '<script src="plotly.min.js"></script>')):
            _bundle(CHARTS / f"{name}.js", site / f"{name}.js")
            (site / f"{name}.html").write_text(
                '<!doctype html><html lang="en"><meta charset="utf-8"><title>A chart</title>'
                f'<link rel="stylesheet" href="style.css">{library}<script type="module" src="{name}.js"></script>'
                '<main><figure class="chart"></figure></main>'
            )
            browser.reset()
            browser.open(f"{url}/{name}.html")
            times = browser.until(lambda: browser.run("return globalThis.measured"), "the updates are measured")
            medians[name] = statistics.median(times)
    ours, theirs = (_zipped(path) for path in (next(BUILT.glob("main-*.js")), site / "plotly.min.js"))
    what = "page: update of 2,000 candles, median of 60"
    yield Figure(what, medians["ours"], UPDATED, "limit", "ms", 1)
    yield Figure(what, medians["ours"], medians["plotly"], "plotly", "ms", 1)
    yield Figure("page: all scripts, compressed", ours / 1e3, theirs / 1e3, "plotly alone", "kB", 0.25)


@contextmanager
def _static(folder: Path) -> Iterator[str]:
    """Serve the files of a folder; give the address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _bundle(source: Path, target: Path) -> None:
    """Bundle a script with what it imports, as the build of the page does."""
    esbuild = ROOT / "page" / "node_modules" / ".bin" / "esbuild"
    subprocess.run(
        [esbuild, source, "--bundle", "--minify", "--format=esm", f"--outfile={target}", "--log-level=warning"],
        check=True,
    )


def _zipped(path: Path) -> int:
    return len(gzip.compress(path.read_bytes()))


def _live(browser: Browser, model: Path, database: Path, minutes: int) -> Iterator[Figure]:
    """Watch a page whose candles are collected at the speed of the clock."""
    since = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    environ = {"SOURCE": "simulated", "PAIR": "BTC/USD,ETH/USD", "SINCE": since}
    with serving(model, "--collect", "--database", str(database), **environ) as served:
        browser.reset()
        browser.open(served.url)
        _read_to_the_end(browser)
        time.sleep(60 * WARM_UP)
        began = _memory(browser)
        tasks: list[float] = []
        browser.long_tasks()
        for _ in range(minutes):
            time.sleep(60)
            tasks += browser.long_tasks()
        ended = _memory(browser)
    name = f"page: {minutes} min live"
    yield Figure(f"{name}: longest task, at most", max(tasks, default=LONGEST_TASK), LONGEST_TASK, "limit", "ms", 1)
    yield Figure(f"{name}: memory of scripts", ended / 1e6, began / 1e6, f"after {WARM_UP} min", "MB", GROWTH)


def _memory(browser: Browser) -> float:
    """Return the bytes that scripts hold after a garbage collection."""
    browser.command("HeapProfiler.collectGarbage")
    browser.command("Performance.enable")
    metrics = {one["name"]: one["value"] for one in browser.command("Performance.getMetrics")["metrics"]}
    return float(metrics["JSHeapUsedSize"])


if __name__ == "__main__":
    main()
