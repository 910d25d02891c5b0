"""Properties of the release workflows that `act` cannot show: permissions, queues, alerts, conditions."""

import re

import pytest

from crypto_predict.sources import deribit
from crypto_predict.sources.catalog import EXCHANGES
from tests.support.serving import ROOT
from tests.support.yaml_files import read_workflow

RELEASE = read_workflow("release.yml")
JOBS = RELEASE["jobs"]


@pytest.mark.parametrize(
    ("name", "group"),
    [("release.yml", "release"), ("rollback.yml", "release"), ("retention.yml", "release"), ("dataset.yml", "dataset")],
)
def test_no_queued_run_is_lost(name: str, group: str) -> None:
    """Without `queue: max` a newer run cancels the waiting one, even a rollback."""
    assert read_workflow(name)["concurrency"] == {"group": group, "cancel-in-progress": False, "queue": "max"}


def test_no_job_that_can_sign_runs_code_of_the_project() -> None:
    """Training reads an exchange and runs a hundred libraries. They must not get the identity of the workflow."""
    signers = {name: job["steps"] for name, job in JOBS.items() if "id-token" in job["permissions"]}
    actions = {
        name: {step["uses"].partition("@")[0] for step in steps if "uses" in step} for name, steps in signers.items()
    }
    assert actions == {"attest": {"docker/login-action", "actions/attest"}, "pages": {"actions/deploy-pages"}}
    assert [step for step in signers["pages"] if "run" in step] == []


def test_a_static_page_that_is_not_published_fails_no_release() -> None:
    """It is made from what has been promoted and recorded, and only where the repository has GitHub Pages."""
    export, pages = JOBS["export"], JOBS["pages"]
    assert export["continue-on-error"] is pages["continue-on-error"] is True
    assert "needs.record.result == 'success' && needs.version.outputs.pages == 'true'" in export["if"]
    assert "needs.export.outputs.done == 'success'" in pages["if"]  # the result of such a job is always success
    assert [name for name, job in JOBS.items() if {"export", "pages"} & set(job.get("needs", []))] == ["alert"]


def test_each_job_has_only_the_write_permissions_that_it_needs() -> None:
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
        "export": [],
        "pages": ["pages", "id-token"],
        "alert": ["issues"],
    }
    assert RELEASE["permissions"] == {}


def test_the_alert_runs_after_every_job_whatever_its_result() -> None:
    """A job that exceeds its time limit ends as cancelled, like a run that somebody cancels."""
    assert set(JOBS["alert"]["needs"]) == set(JOBS) - {"alert"}
    assert JOBS["alert"]["if"].startswith("${{ always() ")


def test_every_job_after_a_skipped_one_has_its_own_condition() -> None:
    """GitHub skips every job that needs a skipped job, directly or not, unless its condition says otherwise."""
    after_skipped = {"test", "tag"}
    for name, job in JOBS.items():
        needs = job.get("needs", [])
        if name not in after_skipped and after_skipped & set([needs] if isinstance(needs, str) else needs):
            assert "cancelled()" in job["if"] or "always()" in job["if"], name
            after_skipped.add(name)
    assert after_skipped == set(JOBS) - {"version"}


def test_the_image_is_tested_on_machines_of_both_architectures() -> None:
    assert JOBS["smoke"]["strategy"]["matrix"]["runner"] == ["ubuntu-24.04", "ubuntu-24.04-arm"]


def test_no_job_tags_an_image_before_it_is_promoted() -> None:
    (build,) = (step["with"] for step in JOBS["train"]["steps"] if step.get("id") == "build")
    assert "push-by-digest=true" in build["outputs"]
    assert "tags" not in build
    assert [name for name, job in JOBS.items() if "release publish" in str(job)] == ["promote"]


def test_the_image_says_how_often_the_schedule_trains() -> None:
    """The page promises the next training by it. With other arguments, the pictures would train another model."""
    (schedule,) = RELEASE["on"]["schedule"]
    hours = re.fullmatch(r"\d+ \*/(\d+) \* \* \*", schedule["cron"])
    builds = [step["with"]["build-args"] for step in JOBS["train"]["steps"] if "build-args" in step.get("with", {})]
    assert hours is not None
    assert len(builds) == 2
    assert builds[0] == builds[1]
    assert f"TRAINED_EVERY={hours[1]}h" in builds[0].split()


def test_the_variables_about_models_and_addresses_reach_the_training_of_the_image() -> None:
    """Those of all exchanges. The Dockerfile takes an argument only where it is declared."""
    addresses = {deribit.API.variable, *(exchange.api.variable for exchange in EXCHANGES.values())}
    arguments = {"RIVALS", "RIVAL_EVERY", "RIVAL_SECONDS", "SERVE", *addresses}
    (build,) = (step["with"]["build-args"] for step in JOBS["train"]["steps"] if step.get("id") == "build")
    assert [name for name in arguments if f"{name}=${{{{ vars.{name} }}}}" not in build.splitlines()] == []
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert [name for name in arguments if f'ARG {name}=""\n' not in dockerfile] == []
    trial = str(read_workflow("ci.yml"))
    assert [name for name in addresses - {deribit.API.variable} if f"{name}=${{{{ vars.{name} }}}}" not in trial] == []


def test_the_coverage_is_judged_after_a_release_and_fails_none() -> None:
    """The job that may write issues reads the scorecard that was just committed."""
    (step,) = (step for step in JOBS["alert"]["steps"] if "release coverage" in str(step))
    assert step["if"] == "needs.record.result == 'success'"
    assert step["continue-on-error"] is True
    assert JOBS["alert"]["permissions"] == {"contents": "read", "issues": "write"}


def test_only_a_successful_run_sends_a_heartbeat() -> None:
    (step,) = (step for step in JOBS["alert"]["steps"] if "HEARTBEAT_URL" in str(step))
    assert step["if"] == "needs.record.result == 'success' && vars.HEARTBEAT_URL != ''"
