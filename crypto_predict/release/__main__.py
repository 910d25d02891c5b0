"""``python -m crypto_predict.release COMMAND``: the steps of a release, one command each."""

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from crypto_predict.errors import BrokenLedger, CryptoPredictError, InvalidValue, UnfitImage
from crypto_predict.release.alert import ALERTS, alert
from crypto_predict.release.champion import champion, locate
from crypto_predict.release.coverage import coverage
from crypto_predict.release.dataset.publishing import publish as publish_dataset
from crypto_predict.release.dataset.restoring import restore as restore_dataset
from crypto_predict.release.deploy import deploy
from crypto_predict.release.images import publish
from crypto_predict.release.job import Environ, set_outputs
from crypto_predict.release.page import summary
from crypto_predict.release.record import record
from crypto_predict.release.smoke import smoke
from crypto_predict.release.version import version

DONE, FAILED, BAD_ARGUMENTS, REFUSED = 0, 1, 2, 4
EXIT_CODES = "exit codes: 0 done, 1 something outside failed, 2 bad arguments, 4 refused: this must not ship"

# For each command: the function, its required arguments, and its optional ones. The function gets them by name.
COMMANDS: Mapping[str, tuple[Callable[..., Mapping[str, str] | None], str, str]] = {
    "version": (version, "--event", "--repository"),
    "champion": (champion, "--image --into", "--begin-anew --repository"),
    "locate": (locate, "--image", ""),
    "smoke": (smoke, "--image --build", "--allow-simulated --allow-stale"),
    "summary": (summary, "--image", "--champion --into"),
    "publish": (publish, "--from --to --replacing", ""),
    "deploy": (deploy, "--image --build", "--site --previous --previous-build --patience --every"),
    "record": (record, "--image", "--pictures --repository"),
    "alert": (alert, "--event", "--build --of"),
    "coverage": (coverage, "--build", ""),
    "restore-dataset": (restore_dataset, "--folder", "--since --again --all"),
    "publish-dataset": (publish_dataset, "--folder", ""),
}
_FOLDER = {"type": Path, "metavar": "FOLDER"}
_ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "--event": {"help": "what started the workflow", "choices": ("push", "schedule", "workflow_dispatch")},
    "--image": {"help": "an image: champion and locate take one by its tag, the others by its digest"},
    "--build": {"help": "the build of the image, such as 0.3.1-20240518121047", "default": ""},
    "--repository": {"help": "a checkout with its full history (default: here)", "default": Path(), **_FOLDER},
    "--into": {"help": "folder to copy files to", "default": Path("built"), **_FOLDER},
    "--begin-anew": {"help": "start a new record of forecasts", "action": "store_true"},
    "--allow-simulated": {"help": "accept simulated prices, for a trial", "action": "store_true"},
    "--allow-stale": {"help": "accept an old model, for a rollback", "action": "store_true"},
    "--champion": {"help": "the image released before it, by its digest", "default": ""},
    "--from": {"help": "an image by its digest", "dest": "source"},
    "--to": {"help": "a tag; may be repeated", "action": "append"},
    "--replacing": {"help": "what the last tag must still name: a digest, 'nothing' or 'anything'"},
    "--site": {"help": "address of the service; without it nothing is verified", "default": ""},
    "--previous": {"help": "the last good image by its digest", "default": ""},
    "--previous-build": {"help": "the build of the last good image", "default": ""},
    "--patience": {"help": "how long to wait (default: %(default)s)", "default": "15m"},
    "--every": {"help": "time between two requests (default: %(default)s)", "default": "5s"},
    "--pictures": {"help": "pictures to commit as well", **_FOLDER},
    "--of": {"help": "the workflow (default: %(default)s)", "choices": tuple(ALERTS), "default": "release"},
    "--folder": {"help": "an exported folder", **_FOLDER},
    "--since": {"help": "the first day of the dataset, such as 2024-01-01", "default": ""},
    "--again": {"help": "a day from which on every candle is asked for again", "default": ""},
    "--all": {"help": "restore all files, and the manifest as it is", "action": "store_true", "dest": "everything"},
}


def main(arguments: Sequence[str], environ: Environ) -> int:
    """Run one command; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    options = vars(_parser().parse_args(arguments))
    command, as_json = options.pop("command"), options.pop("json")
    try:
        outputs = COMMANDS[command][0](**options, environ=environ) or {}
    except CryptoPredictError as error:
        print(f"{command}: error: {error}", file=sys.stderr)  # noqa: T201 a command's output
        if isinstance(error, InvalidValue):
            return BAD_ARGUMENTS
        return REFUSED if isinstance(error, (UnfitImage, BrokenLedger)) else FAILED
    set_outputs(environ, outputs)
    width = max(map(len, outputs), default=0)
    rows = (f"{name:{width}}  {', '.join(value.splitlines())}" for name, value in outputs.items())
    print(json.dumps(outputs, indent=2) if as_json else "\n".join(rows))  # noqa: T201 a command's output
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m crypto_predict.release", description=__doc__, epilog=EXIT_CODES)
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for name, (run, required, optional) in COMMANDS.items():
        text = run.__doc__ or ""
        command = commands.add_parser(
            name, help=text.partition("\n")[0], description=text, epilog=EXIT_CODES, allow_abbrev=False
        )
        for argument in required.split():
            command.add_argument(argument, required=True, **_ARGUMENTS[argument])
        for argument in optional.split():
            command.add_argument(argument, **_ARGUMENTS[argument])
        command.add_argument("--json", action="store_true", help="print the outputs as one JSON object")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
