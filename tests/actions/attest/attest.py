"""Sign like the action, with the authority of the tests, and send the bundle to GitHub."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.support.sigstore import PROVENANCE, Authority, Signer


def main() -> None:
    """Attest the provenance of an image, or its bill of materials if one is given."""
    environ = os.environ
    name, digest, sbom = environ["NAME"], environ["DIGEST"], environ["SBOM"]
    kind, predicate = read(Path(sbom)) if sbom else (PROVENANCE, None)
    authority = Authority(Path(environ["STAND_IN_SIGSTORE"]))
    repository = environ["GITHUB_REPOSITORY"]
    signer = Signer(repository, ref=environ["GITHUB_REF"], revision=environ["GITHUB_SHA"])
    bundle = authority.sign(name, digest, kind, predicate, signer)
    endpoint = f"repos/{repository}/attestations"
    command = ["gh", "api", endpoint, "--method", "POST", "--silent", "--input", "-"]
    subprocess.run(command, check=True, input=json.dumps({"bundle": bundle}), text=True)
    with Path(environ["STAND_IN_ATTESTED"]).open("a") as attested:
        attested.write(f"{'sbom' if sbom else 'provenance'} {name}@{digest}\n")


def read(sbom: Path) -> tuple[str, dict[str, Any]]:
    """Return type and content of a bill of materials in SPDX."""
    content: dict[str, Any] = json.loads(sbom.read_text())
    version = content["spdxVersion"].removeprefix("SPDX-")
    return f"https://spdx.dev/Document/v{version}", content


if __name__ == "__main__":
    main()
