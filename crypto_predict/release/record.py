"""The public record: each promoted release commits what it forecast to the branch `record`, an append-only history.

The commits are also the activity without which GitHub disables a repository's schedules after 60 days.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import Evaluator
from crypto_predict.baked.schema import Model, PairForecast
from crypto_predict.errors import ReleaseFailed
from crypto_predict.release import artifact
from crypto_predict.release.git import Repository
from crypto_predict.release.job import Job
from crypto_predict.release.markdown import code
from crypto_predict.release.page import page
from crypto_predict.release.programs import ProgramFailed

BRANCH = "record"
ATTEMPTS = 5  # another release may push between our fetch and our push
_BOT = {"NAME": "github-actions[bot]", "EMAIL": "41898282+github-actions[bot]@users.noreply.github.com"}
_AUTHOR = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in _BOT.items()}

_log = logging.getLogger(__name__)


def record(reference: str, pictures: Path | None, repository: Path, job: Job) -> None:
    """Commit the record of a released image.

    Args:
        reference: The image by digest.
        pictures: A folder with the pictures of its forecasts; None if there are none.
        repository: A checkout, whose `origin` is pushed to; nothing in it is touched.
        job: Shows the result.

    Raises:
        BrokenLedger, UnusableModel: The files in the image are damaged.
        ReleaseFailed: GitHub refused the commit.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        taken = artifact.take_out(reference, folder / "image")
        if taken.model is None:
            raise ReleaseFailed(f"{reference}: its model has another schema than this program's")
        files = folder / "files"
        shutil.copytree(pictures, files) if pictures else files.mkdir()
        shutil.copy(taken.ledger_path, files / "ledger.jsonl")
        for path, text in _files(taken.model, reference.partition("@")[2]).items():
            (files / path).write_text(text, encoding="utf-8")
        remote = Repository(repository).ask("remote", "get-url", "origin")
        commit = _commit(Repository(files), remote, f"record: {taken.model.card.build}")
    job.add_summary(f"**Recorded** on the branch `{BRANCH}`, commit {code(commit[:9])}.")


def _files(model: Model, digest: str) -> Mapping[str, str]:
    """Return name and content of each file made from the model."""
    forecasts = {str(pair): _rows(forecast) for pair, forecast in model.forecasts.items()}
    return {
        "README.md": page(model, digest) + "\n",
        "scorecard.json": json.dumps(plain.encode(model.scorecard), indent=1) + "\n",
        "forecasts.json": json.dumps({"build": model.card.build, "pairs": forecasts}, indent=1) + "\n",
    }


def _rows(forecast: PairForecast) -> list[dict[str, str | float]]:
    """Return a row for each day after the last candle, as ``/forecast/{pair}`` answers it."""
    evaluator = Evaluator(forecast)
    days = [forecast.last + timedelta(days=ahead) for ahead in range(1, (forecast.end - forecast.last).days + 1)]
    points = ((day, evaluator.at_close(day)) for day in days)
    return [{"date": str(day), "prediction": p.price, "low": p.low, "high": p.high} for day, p in points]


def _commit(work: Repository, remote: str, message: str) -> str:
    """Commit the files of a folder on top of whatever the branch holds by then. The history is not fetched."""
    ref = f"refs/heads/{BRANCH}"
    work.ask("init", "--quiet")
    work.ask("add", "--all", "--force", ".")
    tree = work.ask("write-tree")
    for _ in range(ATTEMPTS):
        parent: tuple[str, ...] = ()
        if work.ask("ls-remote", remote, ref):
            work.ask("fetch", "--quiet", "--no-tags", "--depth", "1", remote, ref)
            parent = ("-p", work.ask("rev-parse", "FETCH_HEAD"))
        commit = work.ask("commit-tree", tree, *parent, "-m", message, environ=_AUTHOR)
        try:
            work.ask("push", "--quiet", remote, f"{commit}:{ref}")
        except ProgramFailed as error:
            complaint = error.complaint
            _log.info("the branch %s was not pushed: %s", BRANCH, complaint)
        else:
            return commit
    raise ReleaseFailed(f"the branch {BRANCH} cannot be pushed; look for a rule that protects it: {complaint}")
