"""Measure serving against the usual tutorial and bare Flask: ``python -m bench``."""

from __future__ import annotations

import argparse
import compileall
import dataclasses
import json
import logging
import tempfile
from pathlib import Path

from bench import figures


def main() -> None:
    """Measure everything in one run and print the ratios."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--source", default="simulated", help="history of both models (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    compileall.compile_dir("crypto_predict", quiet=1)  # as in an image; an import that compiles first is no cold start
    with tempfile.TemporaryDirectory() as folder:
        measured = figures.measure(options.source, Path(folder))
    if options.json:
        print(json.dumps([{**dataclasses.asdict(figure), "ratio": figure.ratio} for figure in measured], indent=2))
    else:
        print(figures.table(measured))


if __name__ == "__main__":
    main()
