"""``python -m crypto_predict.release COMMAND``: the steps of a release, one command each."""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Protocol

from crypto_predict.errors import BrokenLedger, CryptoPredictError, InvalidValue, UnfitImage
from crypto_predict.release.job import Job

COMMANDS = (
    *("version", "tags", "locate", "champion", "smoke", "publish", "deploy", "summary", "mark", "alert", "keepalive"),
)
DONE, FAILED, BAD_ARGUMENTS, REFUSED = 0, 1, 2, 4

EXIT_CODES = "exit codes: 0 done, 1 something outside failed, 2 bad arguments, 4 refused: this must not ship"


class Command(Protocol):
    """A module that is a command."""

    SUMMARY: str  # what it does, in one line
    EXAMPLES: str  # shown under its --help

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add its arguments."""
        ...

    def run(self, options: argparse.Namespace, job: Job) -> Mapping[str, str]:
        """Do it; returns its outputs by name.

        Raises:
            CryptoPredictError: It could not be done, or refused to.
        """
        ...


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run one command; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    asked = [name for name in arguments[:1] if name in COMMANDS]
    options = _parser(asked or COMMANDS).parse_args(arguments)
    job = Job(environ)
    try:
        outputs = options.run(options, job)
    except CryptoPredictError as error:
        print(f"{options.command}: error: {error}", file=sys.stderr)  # noqa: T201 a command's output
        return _exit_code(error)
    job.set_outputs(outputs)
    _show(outputs, as_json=options.json)
    return DONE


def _parser(names: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of these commands; no command waits for what another one imports."""
    parser = argparse.ArgumentParser(prog="python -m crypto_predict.release", description=__doc__, epilog=EXIT_CODES)
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for name in names:
        command: Command = importlib.import_module(f"crypto_predict.release.{name}")
        one = commands.add_parser(
            name,
            help=command.SUMMARY,
            description=command.SUMMARY,
            epilog=f"examples:\n{command.EXAMPLES}\n{EXIT_CODES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.configure(one)
        one.add_argument("--json", action="store_true", help="print the outputs as one JSON object")
        one.set_defaults(run=command.run)
    return parser


def _show(outputs: Mapping[str, str], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(outputs, indent=2))  # noqa: T201 a command's output
        return
    width = max(map(len, outputs), default=0)
    for name, value in outputs.items():
        print(f"{name:{width}}  {', '.join(value.splitlines())}")  # noqa: T201 a command's output


def _exit_code(error: CryptoPredictError) -> int:
    """The exit code that tells a workflow what kind of error it was."""
    if isinstance(error, InvalidValue):
        return BAD_ARGUMENTS
    return REFUSED if isinstance(error, (UnfitImage, BrokenLedger)) else FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
