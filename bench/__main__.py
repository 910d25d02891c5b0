"""Measure servers, new models, store, backtest, training, backfill, ticks, image and page: ``python -m bench``."""

import argparse
import compileall
import logging
import sys
import tempfile
from datetime import date
from pathlib import Path

from bench import (
    backfill,
    backtest,
    candles,
    distributions,
    hours,
    image,
    intervals,
    live,
    minutes,
    page,
    reload,
    serving,
    store,
    ticks,
    training,
)
from bench.figures import Figure, table
from crypto_predict.errors import ReleaseFailed
from crypto_predict.market import Pair
from crypto_predict.release.programs import output_of


def main() -> None:
    """Measure everything in one run and print the ratios."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--source", default="simulated", help="history of both models (default: %(default)s)")
    parser.add_argument(
        "--pair", default="BTC/USD", help="pairs whose distributions are scored, with commas (default: %(default)s)"
    )
    parser.add_argument("--until", type=date.fromisoformat, help="the last day of the scored histories")
    parts = (
        "servers",
        "reload",
        "training",
        "distributions",
        "candles",
        "intervals",
        "store",
        "image",
        "backfill",
        "ticks",
        "minutes",
        "hours",
        "page",
        "live",
    )
    parser.add_argument(
        "--only", choices=parts, help="measure these alone (default: all but live, which takes 16 minutes)"
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    compileall.compile_dir("crypto_predict", quiet=1)  # as in an image: a cold start must not compile
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        if options.only in {None, "servers"}:
            figures += [*serving.measure(options.source, Path(folder)), *backtest.measure(options.source)]
        if options.only in {None, "reload"}:
            figures += reload.measure(options.source, Path(folder))
        if options.only in {None, "training"}:
            figures += training.measure(options.source, Path(folder))
        if options.only in {None, "distributions"}:
            pairs = [Pair.parse(pair) for pair in options.pair.split(",")]
            figures += distributions.measure(options.source, pairs, options.until)
        if options.only in {None, "candles"}:
            figures += candles.measure(options.source, Path(folder))
        if options.only in {None, "intervals"}:
            figures += intervals.measure(options.source, Path(folder))
        if options.only in {None, "store"}:
            figures += store.measure(Path(folder))
        if options.only in {None, "image"} and _has_engine():
            figures += image.measure(Path(folder))
        alone = {"backfill": backfill, "ticks": ticks, "minutes": minutes, "hours": hours}
        for name, part in alone.items():
            if options.only in {None, name}:
                figures += part.measure()
        if options.only in {None, "page"} and _has_browser():
            figures += page.measure(Path(folder))
        if options.only == "live":
            figures += live.measure()
    print(table(figures))


def _has_engine() -> bool:
    try:
        output_of("docker", "version", "--format", "{{.Server.Version}}", seconds=30)
    except ReleaseFailed as error:
        print(f"the image is not measured, no container engine answers: {error}", file=sys.stderr)
        return False
    return True


def _has_browser() -> bool:
    reason = page.why_not()
    if reason:
        print(f"the page is not measured: {reason}", file=sys.stderr)
    return not reason


if __name__ == "__main__":
    main()
