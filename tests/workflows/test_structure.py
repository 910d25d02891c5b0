"""What the release's workflows must say where `act` cannot show it: permissions, queues, alarms, conditions."""

import pytest

from tests.support.yaml_files import read_workflow

RELEASE = read_workflow("release.yml")
JOBS = RELEASE["jobs"]


@pytest.mark.parametrize("name", ["release.yml", "rollback.yml", "retention.yml"])
def test_no_queued_run_is_lost(name: str) -> None:
    """Without `queue: max` a newer run cancels the waiting one, even a rollback."""
    assert read_workflow(name)["concurrency"] == {"group": "release", "cancel-in-progress": False, "queue": "max"}


def test_only_one_job_can_sign_and_it_runs_nothing_of_ours() -> None:
    """What trains reads an exchange and runs a hundred libraries: none of them gets the identity of the workflow."""
    signers = [name for name, job in JOBS.items() if "id-token" in job["permissions"]]
    assert signers == ["attest"]
    actions = [step["uses"].partition("@")[0] for step in JOBS["attest"]["steps"] if "uses" in step]
    assert set(actions) == {"docker/login-action", "actions/attest"}


def test_no_job_may_write_more_than_it_does() -> None:
    written = {name: [what for what, may in job["permissions"].items() if may == "write"] for name, job in JOBS.items()}
    assert written == {
        "version": [],
        "test": [],
        "tag": ["contents"],
        "train": ["packages"],
        "smoke": [],
        "attest": ["packages", "id-token", "attestations"],
        "deploy": [],
        "promote": ["packages"],
        "record": ["contents"],
        "alert": ["issues"],
    }
    assert RELEASE["permissions"] == {}


def test_the_alarm_hears_of_every_job_however_it_ends() -> None:
    """A job that exceeds its time ends as cancelled, and so does a whole run that somebody cancels."""
    assert set(JOBS["alert"]["needs"]) == set(JOBS) - {"alert"}
    assert JOBS["alert"]["if"].startswith("${{ always() ")


def test_what_follows_a_skipped_job_has_a_condition_of_its_own() -> None:
    """GitHub skips whatever needs a skipped job, directly or not, unless its condition says otherwise."""
    after_skipped = {"test", "tag"}
    for name, job in JOBS.items():
        needs = job.get("needs", [])
        if name not in after_skipped and after_skipped & set([needs] if isinstance(needs, str) else needs):
            assert "cancelled()" in job["if"] or "always()" in job["if"], name
            after_skipped.add(name)
    assert after_skipped == set(JOBS) - {"version"}


def test_the_image_is_tried_on_machines_of_both_architectures() -> None:
    assert JOBS["smoke"]["strategy"]["matrix"]["runner"] == ["ubuntu-24.04", "ubuntu-24.04-arm"]


def test_nothing_in_a_release_names_an_image_before_it_is_promoted() -> None:
    (build,) = (step["with"] for step in JOBS["train"]["steps"] if step.get("id") == "build")
    assert "push-by-digest=true" in build["outputs"]
    assert "tags" not in build
    assert [name for name, job in JOBS.items() if "release publish" in str(job)] == ["promote"]


def test_a_good_run_and_no_other_is_a_heartbeat() -> None:
    (step,) = (step for step in JOBS["alert"]["steps"] if "HEARTBEAT_URL" in str(step))
    assert step["if"] == "needs.record.result == 'success' && vars.HEARTBEAT_URL != ''"
