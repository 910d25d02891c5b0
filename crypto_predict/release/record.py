"""The public record: each promoted release commits its forecasts to the branch `record`, an append-only history.

The commits are also the activity without which GitHub disables a repository's schedules after 60 days.
"""

import json
import logging
import shutil
import tempfile
from pathlib import Path

from crypto_predict.baked import plain
from crypto_predict.baked.evaluation import Evaluator
from crypto_predict.baked.schema import HORIZON_DAYS, PairForecast
from crypto_predict.errors import ReleaseFailed
from crypto_predict.market import DAY
from crypto_predict.release.images import LEDGER, take_out_model
from crypto_predict.release.job import Environ, add_summary, code
from crypto_predict.release.page import page
from crypto_predict.release.programs import ProgramFailed, git

BRANCH, SCORECARD = "record", "scorecard.json"
ATTEMPTS = 5  # another release may push between our fetch and our push
_BOT = {"NAME": "github-actions[bot]", "EMAIL": "41898282+github-actions[bot]@users.noreply.github.com"}
_AUTHOR = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in _BOT.items()}

_log = logging.getLogger(__name__)


def record(image: str, pictures: Path | None, repository: Path, environ: Environ) -> None:
    """Commit ledger, scorecard and forecasts of a release to the branch `record` of the checkout's `origin`.

    The checkout itself stays as it is.
    """
    with tempfile.TemporaryDirectory() as name:
        files, taken = Path(name) / "files", Path(name) / "image"
        model = take_out_model(image, taken)
        shutil.copytree(pictures, files) if pictures else files.mkdir()
        shutil.copy(taken / LEDGER, files / "ledger.jsonl")
        forecasts = {str(pair): _rows(forecast) for pair, forecast in model.forecasts.items()}
        contents = {
            "README.md": page(model, image.partition("@")[2]),
            SCORECARD: json.dumps(plain.encode(model.scorecard), indent=1),
            "forecasts.json": json.dumps({"build": model.card.build, "pairs": forecasts}, indent=1),
        }
        for path, text in contents.items():
            (files / path).write_text(f"{text}\n", encoding="utf-8")
        commit = _commit(files, git(repository, "remote", "get-url", "origin"), f"record: {model.card.build}")
    add_summary(environ, f"**Recorded** on the branch `{BRANCH}`, commit {code(commit[:9])}.")


def _rows(forecast: PairForecast) -> list[dict[str, str | float]]:
    """Return a row for each day after the last candle, as ``/forecast/{pair}`` answers it."""
    evaluator, days = Evaluator(forecast), (forecast.last + ahead * DAY for ahead in range(1, HORIZON_DAYS + 1))
    points = ((day, evaluator.at(day)) for day in days)
    return [{"date": str(day), "prediction": p.price, "low": p.low, "high": p.high} for day, p in points]


def _commit(folder: Path, remote: str, message: str) -> str:
    """Commit the files of a folder on top of the remote branch, whose history is not fetched; return the commit."""
    ref = f"refs/heads/{BRANCH}"
    git(folder, "init", "--quiet")
    git(folder, "add", "--all", "--force", ".")
    tree = git(folder, "write-tree")
    for _ in range(ATTEMPTS):
        parent: tuple[str, ...] = ()
        if git(folder, "ls-remote", remote, ref):
            git(folder, "fetch", "--quiet", "--no-tags", "--depth", "1", remote, ref)
            parent = ("-p", git(folder, "rev-parse", "FETCH_HEAD"))
        commit = git(folder, "commit-tree", tree, *parent, "-m", message, environ=_AUTHOR)
        try:
            git(folder, "push", "--quiet", remote, f"{commit}:{ref}")
        except ProgramFailed as error:
            complaint = error.complaint
            _log.info("the branch %s was not pushed: %s", BRANCH, complaint)
        else:
            return commit
    raise ReleaseFailed(f"the branch {BRANCH} cannot be pushed; look for a rule that protects it: {complaint}")
