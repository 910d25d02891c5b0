"""The page in a browser: what a visit transfers, when its chart is drawn, and what an update takes.

``python -m bench.page --minutes 5`` watches a page with a live collector for longer.
"""

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

from bench import models
from bench.figures import Figure, table
from crypto_predict.web.page.assets import BUILT
from tests.support import lighthouse
from tests.support.browser import Browser, browsing
from tests.support.pages import NOW, growing, serving_at
from tests.support.serving import serving

ROOT = Path(__file__).resolve().parent.parent
VISITS = 5
FIRST_VISIT, HTML, LATER_VISIT = 130, 40, 20  # kB
DRAWN, UPDATED, LONGEST_TASK = 350, 25, 50  # ms
GROWTH = 1.1  # of the memory of scripts, once the first minute has passed
SCORE = 95
SETTLED, PATIENCE = 1.5, 60  # seconds without a transfer, and until they have to end
CHARTS = ROOT / "bench" / "charts"
WARM_UP = 1  # minutes


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.page", description=__doc__)
    parser.add_argument("--minutes", type=int, default=1, help="of the page with a live collector (default: 1)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(table(list(measure(Path(folder), options.minutes))))


def why_not() -> str:
    """Return why the page cannot be measured here; empty if it can."""
    return lighthouse.why_not() or ("" if BUILT.exists() else "its scripts are not bundled: `make page` does that")


def measure(folder: Path, minutes: int = 1) -> Iterator[Figure]:
    """Measure the page of a model with a database, in `folder`, and of a collector for so many `minutes`."""
    model = folder / "model.pkl"
    models.bake("simulated", model)
    with browsing(folder) as browser:
        with serving_at(NOW, model) as alone:
            _, whole, _ = _visit(browser, alone.url)
            yield _transferred("first visit, read to its end", whole, FIRST_VISIT)
            yield _transferred("its HTML", {alone.url: whole[f"{alone.url}/"]}, HTML)
        with growing(folder / "page.db"), serving_at(NOW, model, folder / "page.db") as served:
            visits = [_visit(browser, served.url) for _ in range(VISITS)]
            opened, whole, _ = visits[-1]
            yield _transferred("first visit with a database, as opened", opened, FIRST_VISIT)
            yield _transferred("first visit with a database, read to its end", whole, FIRST_VISIT)
            browser.open(served.url)
            yield _transferred("later visit", _quiet(browser, is_reading=True), LATER_VISIT)
        drawn = statistics.median(at for _, _, at in visits)
        yield Figure(f"page: chart drawn, median of {VISITS}", drawn, DRAWN, "limit", "ms", 1)
        yield from _updates(browser, folder)
        yield from _live(browser, model, folder / "live.db", minutes)
    with serving(model) as alone:
        for category, score in lighthouse.audit(alone.url).items():
            yield Figure(f"page: Lighthouse, {category}", score, SCORE, "limit", "", 1, at_least=True)


def _transferred(what: str, sizes: dict[str, int], limit: float) -> Figure:
    """Return the figure of what was transferred, and print its parts."""
    for address, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"{what}: {size / 1e3:.1f} kB {address}", file=sys.stderr)
    return Figure(f"page: {what}, compressed", sum(sizes.values()) / 1e3, limit, "limit", "kB", 1)


def _visit(browser: Browser, url: str) -> tuple[dict[str, int], dict[str, int], float]:
    """Visit a page with an empty cache. Return the bytes of each address until it is quiet and once it has been read.

    The last value is when the chart was drawn, in milliseconds after the start.
    """
    browser.reset()
    browser.set_clock(NOW - datetime.now(UTC))
    browser.open(url)
    opened = _quiet(browser)
    drawn = browser.run("return performance.getEntriesByName('chart-drawn')[0].startTime")
    return opened, opened | _quiet(browser, is_reading=True), drawn


def _quiet(browser: Browser, *, is_reading: bool = False) -> dict[str, int]:
    """Return the bytes of each address until nothing is transferred any more, while the page is read to its end or not.

    Raises:
        RuntimeError: It never ends.
    """
    found: dict[str, int] = {}
    began = quiet_since = time.monotonic()
    while time.monotonic() < quiet_since + SETTLED:
        if time.monotonic() > began + PATIENCE:
            raise RuntimeError(f"the page still transfers after {PATIENCE} s: {list(found)}")
        if is_reading:
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
        _quiet(browser, is_reading=True)
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
