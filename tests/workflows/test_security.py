"""The security workflow, and the files of the repository that it depends on."""

import re

from tests.support.serving import ROOT
from tests.support.yaml_files import find_step, read_workflow

WORKFLOW = read_workflow("security.yml")
SCANNERS = ("locks", "image", "scorecard")


def test_the_empty_model_replaces_the_stage_that_trains() -> None:
    """A renamed stage would not be replaced, so every change would train a second time."""
    build = find_step(WORKFLOW, "image", "Build the image of the change")["with"]
    stage, _, folder = build["build-contexts"].partition("=")
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(rf"^FROM .* AS {stage}$", dockerfile, re.MULTILINE)
    shipped = dockerfile.partition(f" AS {build['target']}\n")[2]
    assert re.findall(rf"^COPY .*--from={stage}\b.*$", shipped, re.MULTILINE) == [f"COPY --from={stage} /layer/ /"]
    assert folder == "${{ runner.temp }}/train"
    assert (
        "$RUNNER_TEMP/train/layer/app/"
        in find_step(WORKFLOW, "image", "Put an empty model in place of the training")["run"]
    )
    assert re.search(rf"^FROM .* AS {build['target']}$", dockerfile, re.MULTILINE)


def test_every_lock_is_audited_with_a_locked_program() -> None:
    """The workflow finds a new lock by its name."""
    install = find_step(WORKFLOW, "locks", "Install pip-audit")["run"]
    (lock,) = re.findall(r"--require-hashes --requirement (\S+)", install)
    assert "pip-audit==" in (ROOT / lock).read_text(encoding="utf-8")
    assert "for lock in requirements-*.txt" in find_step(WORKFLOW, "locks", "Audit every lock")["run"]
    assert "npm audit --prefix page" in find_step(WORKFLOW, "locks", "Audit what the page's bundle is made of")["run"]
    assert {path.parent for path in ROOT.glob("**/requirements*.txt") if ".venv" not in str(path)} == {ROOT}


def test_no_job_with_a_scanner_has_a_secret_or_write_permission() -> None:
    """A malicious scanner finds nothing to steal; a token for scorecard.dev gives no access here."""
    for name in SCANNERS:
        job = WORKFLOW["jobs"][name]
        allowed = {"contents": "read"} | ({"id-token": "write"} if name == "scorecard" else {})
        assert job["permissions"] == allowed
        assert "secrets." not in str(job)
        assert "github.token" not in str(job)


def test_no_release_waits_for_this_workflow() -> None:
    """A finding does not stop the retraining."""
    assert WORKFLOW["concurrency"]["group"] != read_workflow("release.yml")["concurrency"]["group"]
    for name in ("release.yml", "rollback.yml"):
        assert "security.yml" not in (ROOT / ".github/workflows" / name).read_text(encoding="utf-8")
