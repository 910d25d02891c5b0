"""Measure serving, and the image, against the usual tutorial and bare Flask: ``python -m bench``."""

from __future__ import annotations

import argparse
import compileall
import dataclasses
import json
import logging
import sys
import tempfile
from pathlib import Path

from bench import figures, image
from crypto_predict.errors import ReleaseFailed
from crypto_predict.release.programs import output_of

PARTS = ("servers", "image")


def main() -> None:
    """Measure everything in one run and print the ratios."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--source", default="simulated", help="history of both models (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--only", choices=PARTS, help="measure these alone (default: everything)")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    compileall.compile_dir("crypto_predict", quiet=1)  # as in an image; an import that compiles first is no cold start
    with tempfile.TemporaryDirectory() as folder:
        measured = [
            figure
            for part in PARTS
            if options.only in {None, part}
            for figure in measure(part, options.source, Path(folder))
        ]
    if options.json:
        print(json.dumps([{**dataclasses.asdict(figure), "ratio": figure.ratio} for figure in measured], indent=2))
    else:
        print(figures.table(measured))


def measure(part: str, source: str, folder: Path) -> list[figures.Figure]:
    """One part of the figures."""
    if part == "servers":
        return figures.measure(source, folder)
    try:
        output_of("docker", "version", "--format", "{{.Server.Version}}", seconds=30)
    except ReleaseFailed as error:
        print(f"the image is not measured, no Docker engine answers: {error}", file=sys.stderr)
        return []
    return image.measure(folder)


if __name__ == "__main__":
    main()
