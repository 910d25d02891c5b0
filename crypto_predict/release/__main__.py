"""``python -m crypto_predict.release COMMAND``: the steps of a release, one command each."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from crypto_predict.errors import BrokenLedger, CryptoPredictError, InvalidValue, ReleaseFailed, UnfitImage
from crypto_predict.release import alert, artifact, champion, publish, record, smoke
from crypto_predict.release.changes import changes
from crypto_predict.release.deploy import Deployment, Target, deploy
from crypto_predict.release.git import Repository
from crypto_predict.release.job import Job
from crypto_predict.release.markdown import escape
from crypto_predict.release.page import page
from crypto_predict.release.render import SECRET, Clock, DeployHook, Patience, Site
from crypto_predict.release.version import release_of, timestamp
from crypto_predict.settings import duration

DONE, FAILED, BAD_ARGUMENTS, REFUSED = 0, 1, 2, 4
EXIT_CODES = "exit codes: 0 done, 1 something outside failed, 2 bad arguments, 4 refused: this must not ship"

Options = argparse.Namespace
Outputs = Mapping[str, str]


def _version(options: Options, job: Job) -> Outputs:
    """Print the version of the commit that is checked out, and the build's one timestamp.

    A commit with a version tag keeps it, whatever started the run. Any other gets the next version: major or minor by
    Conventional Commits, else patch.
    """
    return release_of(Repository(options.repository), timestamp(job.environ))


def _champion(options: Options, job: Job) -> Outputs:
    """Verify the last release and take model and ledger out of it, for the next training."""
    repository = Repository(options.repository)
    return champion.take_champion(options.image, options.into, repository, job, begin_anew=options.begin_anew)


def _locate(options: Options, job: Job) -> Outputs:
    """Verify the published image that a tag names, and print its digest and build."""
    located = champion.locate(options.image)
    if located is None:
        raise ReleaseFailed(f"{options.image} does not exist: the package's page on GitHub lists the builds")
    champion.verify(located.reference, job)
    return {"digest": located.digest, "build": located.build}


def _smoke(options: Options, job: Job) -> Outputs:
    """Start an image locked, ask it everything, and refuse what must not ship."""
    simulated, stale = options.allow_simulated, options.allow_stale
    return smoke.smoke(options.image, options.build, job, allow_simulated=simulated, allow_stale=stale)


def _summary(options: Options, job: Job) -> Outputs:
    """Show forecast, scorecard and changes on the run's page. Reads the subjects of new commits from CHANGES."""
    model = artifact.take_out(options.image, options.into).model
    if model is None:
        raise ReleaseFailed(f"{options.image}: its model has another schema than this program's")
    try:
        before = artifact.take_out(options.champion, options.into).model if options.champion else None
        since = changes(model, before) if before else "There is no earlier model of this schema."
    except CryptoPredictError as error:
        since = f"Not compared: {escape(str(error))}."
    subjects = [line for line in job.environ.get("CHANGES", "").splitlines() if line.strip()]
    job.add_summary(page(model, options.image.partition("@")[2] or options.image, since, subjects))
    return {}


def _publish(options: Options, job: Job) -> Outputs:
    """Let tags name an image, in the order given, and read each back."""
    publish.publish(options.source, options.to, options.replacing, job)
    return {}


def _deploy(options: Options, job: Job) -> Outputs:
    """Start an image on Render, wait until it answers, else start the last good one again."""
    previous = Target.parse(options.previous, options.previous_build, "--previous") if options.previous else None
    deployment = Deployment(
        hook=DeployHook.at(job.required(SECRET)),
        site=Site(options.site) if options.site.strip() else None,
        target=Target.parse(options.image, options.build, "--image"),
        previous=previous,
        patience=Patience(duration(options.patience).total_seconds(), duration(options.every).total_seconds()),
    )
    deploy(deployment, job, Clock())
    return {}


def _record(options: Options, job: Job) -> Outputs:
    """Commit ledger, scorecard and forecasts of a release to the branch `record`."""
    record.record(options.image, options.pictures, options.repository, job)
    return {}


def _alert(options: Options, job: Job) -> Outputs:
    """Open, update or close the issue about scheduled runs that fail. Reads the jobs of the run from NEEDS."""
    alert.alert(options.event, json.loads(job.required("NEEDS")), options.build, job)
    return {}


_FOLDER = {"type": Path, "metavar": "FOLDER"}
_ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "--event": {"help": "what started the workflow", "choices": ("push", "schedule", "workflow_dispatch")},
    "--image": {"help": "an image: champion and locate take one by its tag, the others by its digest"},
    "--build": {"help": "what the image calls itself, such as 0.3.1-20240518121047", "default": ""},
    "--repository": {"help": "a checkout with all its history (default: here)", "default": Path(), **_FOLDER},
    "--into": {"help": "where files are copied to", "default": Path("built"), **_FOLDER},
    "--begin-anew": {"help": "begin the record of forecasts anew", "action": "store_true"},
    "--allow-simulated": {"help": "accept invented prices: for a trial", "action": "store_true"},
    "--allow-stale": {"help": "accept an old model: for a rollback", "action": "store_true"},
    "--champion": {"help": "the image released before it, by its digest", "default": ""},
    "--from": {"help": "an image by its digest", "dest": "source"},
    "--to": {"help": "a tag; may be repeated", "action": "append"},
    "--replacing": {"help": "what the last tag must still name: a digest, 'nothing' or 'anything'"},
    "--site": {"help": "where the service answers; without it nothing is verified", "default": ""},
    "--previous": {"help": "the last good image by its digest", "default": ""},
    "--previous-build": {"help": "what that one calls itself", "default": ""},
    "--patience": {"help": "how long to wait (default: %(default)s)", "default": "15m"},
    "--every": {"help": "how often to ask (default: %(default)s)", "default": "5s"},
    "--pictures": {"help": "pictures to commit as well", **_FOLDER},
}
# For each command: what it does, the arguments that it needs, and those that it takes.
COMMANDS: Mapping[str, tuple[Callable[[Options, Job], Outputs], str, str]] = {
    "version": (_version, "--event", "--repository"),
    "champion": (_champion, "--image --into", "--begin-anew --repository"),
    "locate": (_locate, "--image", ""),
    "smoke": (_smoke, "--image --build", "--allow-simulated --allow-stale"),
    "summary": (_summary, "--image", "--champion --into"),
    "publish": (_publish, "--from --to --replacing", ""),
    "deploy": (_deploy, "--image --build", "--site --previous --previous-build --patience --every"),
    "record": (_record, "--image", "--pictures --repository"),
    "alert": (_alert, "--event", "--build"),
}


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run one command; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    options, job = _parser().parse_args(arguments), Job(environ)
    try:
        outputs = COMMANDS[options.command][0](options, job)
    except CryptoPredictError as error:
        print(f"{options.command}: error: {error}", file=sys.stderr)  # noqa: T201 a command's output
        if isinstance(error, InvalidValue):
            return BAD_ARGUMENTS
        return REFUSED if isinstance(error, (UnfitImage, BrokenLedger)) else FAILED
    job.set_outputs(outputs)
    width = max(map(len, outputs), default=0)
    rows = (f"{name:{width}}  {', '.join(value.splitlines())}" for name, value in outputs.items())
    print(json.dumps(outputs, indent=2) if options.json else "\n".join(rows))  # noqa: T201 a command's output
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m crypto_predict.release", description=__doc__, epilog=EXIT_CODES)
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", required=True)
    for name, (run, needed, optional) in COMMANDS.items():
        summary = (run.__doc__ or "").partition("\n")[0]
        one = commands.add_parser(name, help=summary, description=run.__doc__, epilog=EXIT_CODES, allow_abbrev=False)
        for argument in needed.split():
            one.add_argument(argument, required=True, **_ARGUMENTS[argument])
        for argument in optional.split():
            one.add_argument(argument, **_ARGUMENTS[argument])
        one.add_argument("--json", action="store_true", help="print the outputs as one JSON object")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
