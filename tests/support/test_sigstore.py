"""The real `gh attestation verify` accepts what the authority of the tests signed, and nothing else."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import running_registry
from tests.support.github import REPOSITORY, TOKEN, GitHub
from tests.support.indexes import Layout
from tests.support.registries import needs_skopeo
from tests.support.sigstore import RELEASE, SPDX, Authority, Signer, wrapped_gh

IMAGE = REPOSITORY.lower()
WORKFLOW = f"{REPOSITORY}/.github/workflows/release.yml"
OTHER = f"sha256:{'0' * 64}"

pytestmark = needs_skopeo


@dataclass
class Image:
    """An image in a registry, with the authority that signs its attestations and the GitHub that stores them."""

    name: str
    digest: str
    github: GitHub
    authority: Authority

    def sign(self, signer: Signer = RELEASE, digest: str | None = None) -> dict[str, Any]:
        """Return a bundle that attests the image's provenance, or that of another digest."""
        return self.authority.sign(self.name, digest or self.digest, signer=signer)

    def verify(self, *more: str) -> subprocess.CompletedProcess[str]:
        """Verify the image's attestations on GitHub, as the release does."""
        folder = self.github.repository.git.parent
        path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
        environ = {**self.github.environ(), "PATH": path, "HOME": str(folder), "GH_TOKEN": TOKEN}
        command = ["gh", "attestation", "verify", f"oci://{self.name}@{self.digest}", "--repo", REPOSITORY]
        command += ["--signer-workflow", WORKFLOW, *more]
        return subprocess.run(command, capture_output=True, text=True, env=environ, timeout=60, check=False)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real registry for all tests of this file."""
    with running_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def image(registry: str, tmp_path: Path) -> Iterator[Image]:
    """An image without attestations."""
    name = f"{registry}/{IMAGE}"
    reference = Layout.make(tmp_path / "layout", tmp_path.name.encode()).push(f"{name}:latest")
    authority = Authority(tmp_path / "authority")
    wrapped_gh(tmp_path / "bin", authority)
    with GitHub(tmp_path) as github:
        yield Image(name, reference.partition("@")[2], github, authority)


def test_an_attestation_by_the_release_workflow_verifies(image: Image) -> None:
    image.github.repository.attest(image.sign())
    done = image.verify("--format", "json", "--deny-self-hosted-runners", "--source-ref", "refs/heads/main")
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)
    assert result["verificationResult"]["statement"]["subject"][0]["name"] == image.name
    assert [time["type"] for time in result["verificationResult"]["verifiedTimestamps"]] == ["Tlog"]


def test_a_bill_of_materials_is_verified_by_its_own_type(image: Image) -> None:
    image.github.repository.attest(image.sign())
    assert image.verify("--predicate-type", SPDX).returncode != 0
    image.github.repository.attest(image.authority.sign(image.name, image.digest, SPDX, {"spdxVersion": "SPDX-2.3"}))
    done = image.verify("--predicate-type", SPDX)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "signer",
    [Signer(repository="Somebody/crypto-predict"), Signer(workflow=".github/workflows/ci.yml")],
    ids=["repository", "workflow"],
)
def test_only_the_signature_of_the_named_workflow_is_accepted(image: Image, signer: Signer, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.json"
    bundle.write_text(json.dumps(image.sign(signer)))
    given = ("--bundle", str(bundle))
    assert image.verify(*given).returncode == 1
    named = ("--repo", signer.repository, "--signer-workflow", f"{signer.repository}/{signer.workflow}")
    assert image.verify(*given, *named).returncode == 0


def test_an_altered_envelope_and_another_authority_are_refused(image: Image, tmp_path: Path) -> None:
    """The altered statement names this image, but what was signed names another one."""
    altered = image.sign(digest=OTHER)
    altered["dsseEnvelope"]["payload"] = image.sign()["dsseEnvelope"]["payload"]
    image.github.repository.attest(altered)
    image.github.repository.attest(Authority(tmp_path / "other").sign(image.name, image.digest))
    assert image.verify().returncode == 1
