"""The real `gh attestation verify` accepts what the authority of the tests signed, and nothing else."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.github import REPOSITORY, GitHub
from tests.support.jobs import Job
from tests.support.sigstore import SPDX, Authority, Signer

NAME, OTHER = "crypto-predict", f"sha256:{'0' * 64}"
DIGEST = f"sha256:{hashlib.sha256(b'an artifact').hexdigest()}"


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    with GitHub(tmp_path) as github:
        yield Job(tmp_path, github)


@pytest.fixture
def verify(job: Job) -> Callable[..., int]:
    """A function that verifies the attestations of a file, as a release does those of an image; it returns the code."""
    artifact = job.folder / "artifact"
    artifact.write_bytes(b"an artifact")
    signer = ("--repo", REPOSITORY, "--signer-workflow", f"{REPOSITORY}/.github/workflows/release.yml")
    command = ("gh", "attestation", "verify", str(artifact), *signer, "--source-ref", "refs/heads/main")
    return lambda *more: job.run(*command, *more).returncode


def test_an_attestation_by_the_release_workflow_is_accepted(job: Job, verify: Callable[..., int]) -> None:
    assert verify() == 1
    job.github.repository.attest(job.authority.sign(NAME, DIGEST))
    assert (verify("--deny-self-hosted-runners"), verify("--predicate-type", SPDX)) == (0, 1)
    job.github.repository.attest(job.authority.sign(NAME, DIGEST, SPDX, {"spdxVersion": "SPDX-2.3"}))
    assert verify("--predicate-type", SPDX) == 0


def test_any_other_signature_is_refused(job: Job, verify: Callable[..., int]) -> None:
    """Of another repository, workflow, branch, digest or authority, and one whose envelope was altered."""
    altered = job.authority.sign(NAME, OTHER)
    altered["dsseEnvelope"]["payload"] = job.authority.sign(NAME, DIGEST)["dsseEnvelope"]["payload"]
    others = (
        job.authority.sign(NAME, DIGEST, signer=Signer(repository="Somebody/crypto-predict")),
        job.authority.sign(NAME, DIGEST, signer=Signer(workflow=".github/workflows/ci.yml")),
        job.authority.sign(NAME, DIGEST, signer=Signer(ref="refs/heads/topic")),
        job.authority.sign(NAME, OTHER),
        altered,
        Authority(job.folder / "other").sign(NAME, DIGEST),
    )
    for bundle in others:
        job.github.repository.attestations.clear()
        job.github.repository.attest(bundle, DIGEST)
        assert verify() == 1
    job.github.repository.attest(job.authority.sign(NAME, DIGEST))
    assert verify() == 0
