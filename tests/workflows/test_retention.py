"""The retention workflow: what its options keep and remove, and the run without a package.

The action itself runs on GitHub only. It applies its rules in this order: platforms and attestations stay or go with
their image; what `exclude-tags` matches stays; what is younger than `older-than` stays; `keep-n-tagged: 0` and
`delete-untagged` remove the rest.
"""

import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests.support.replay.server import ReplayServer
from tests.support.yaml_files import find_step, read_workflow

WORKFLOW = read_workflow("retention.yml")
FIND = find_step(WORKFLOW, "retention", "Find the package")
OPTIONS = find_step(WORKFLOW, "retention", "Remove old builds")["with"]

numbers = st.integers(min_value=0, max_value=10_000)
versions = st.builds("{}.{}.{}".format, numbers, numbers, numbers)
timestamps = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2100, 1, 1))  # noqa: DTZ001 a tag has no zone
digests = st.binary(min_size=32, max_size=32)
TAGS = st.one_of(
    versions,
    st.builds("{}-{:%Y%m%d%H%M%S}".format, versions, timestamps),
    st.builds(lambda digest, suffix: f"sha256-{digest.hex()}{suffix}", digests, st.sampled_from(["", ".sig", ".att"])),
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,40}", fullmatch=True),
    st.sampled_from(["latest", "latest-1", "not-latest", "v1.2.3", "1.2.3-rc.1", "1.2", "1.2.3.4"]),
)


@given(TAGS)
def test_versions_and_latest_stay_at_any_age_and_an_attestation_is_never_removed_by_its_own_tag(tag: str) -> None:
    """After a long time without releases the next one continues the ledger of `latest`. Builds are removed.

    An attestation's tag names its image, with which it stays or goes. The action searches, as JavaScript's `test` does.
    """
    stays = tag == "latest" or tag.startswith("sha256-") or re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", tag)
    assert (re.search(OPTIONS["exclude-tags"], tag, re.ASCII) is not None) == bool(stays)


def test_images_younger_than_thirty_days_stay_and_others_are_removed() -> None:
    """A release first pushes by digest: its image has no tag for hours, but not for weeks.

    Every other option of the action removes something: `delete-orphaned-images` even what is young.
    """
    judged = {name: value for name, value in OPTIONS.items() if name not in ("owner", "package", "dry-run")}
    assert judged == {
        "use-regex": True,
        "exclude-tags": OPTIONS["exclude-tags"],
        "older-than": "30 days",
        "keep-n-tagged": 0,
        "delete-untagged": True,
    }


def test_a_run_by_hand_removes_nothing_by_default() -> None:
    assert WORKFLOW["on"]["workflow_dispatch"]["inputs"]["dry_run"]["default"] is True


class Packages:
    """GitHub's answers about a package: one status for an organisation's, one for a person's."""

    def __init__(self, orgs: int, users: int) -> None:
        self.statuses = {"orgs": orgs, "users": users}

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return the one endpoint that the workflow uses."""
        return [web.get("/{kind}/some-body/packages/container/crypto-predict/versions", self._answer)]

    def unknown(self) -> web.Response:
        """Answer as GitHub does for an unknown address."""
        return web.json_response({"message": "Not Found"}, status=404)

    async def _answer(self, request: web.Request) -> web.Response:
        return web.json_response({"message": "as the test set it"}, status=self.statuses[request.match_info["kind"]])


def find_package(api: str, folder: Path) -> tuple[subprocess.CompletedProcess[str], Mapping[str, str], str]:
    """Run the step as a runner does; return the process, its outputs and the summary."""
    environ = {
        "PATH": os.environ["PATH"],
        "GITHUB_REPOSITORY": "Some-Body/Crypto-Predict",
        "GITHUB_REPOSITORY_OWNER": "Some-Body",
        "GITHUB_API_URL": api,
        "GITHUB_TOKEN": "ghs_0123456789",
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
    }
    for file in ("output", "summary"):
        (folder / file).touch()
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", FIND["run"]]
    nothing = subprocess.DEVNULL
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, stdin=nothing, check=False)
    outputs = dict(line.split("=", 1) for line in (folder / "output").read_text().splitlines())
    return done, outputs, (folder / "summary").read_text()


@pytest.mark.parametrize(
    ("orgs", "users", "code", "says"),
    [
        (200, 404, 0, ""),
        (404, 200, 0, ""),
        (404, 404, 0, "The package some-body/crypto-predict does not exist yet: nothing to remove."),
        # Otherwise a lost permission would look like a fork without a package.
        (403, 200, 1, "GitHub answered 403 for the package some-body/crypto-predict"),
    ],
    ids=["organisation", "person", "no package", "refused"],
)
def test_the_package_is_found_under_its_name_in_lower_case(
    orgs: int, users: int, code: int, says: str, tmp_path: Path
) -> None:
    """Registries do not accept capitals."""
    with ReplayServer(Packages(orgs, users)) as server:
        done, outputs, summary = find_package(server.url, tmp_path)
    assert (done.returncode, says in done.stdout) == (code, True), done.stderr
    assert outputs == ({} if says else {"owner": "some-body", "name": "crypto-predict"})
    assert summary == (done.stdout if not code else "")
