"""The names under which an image is published, by the grammar of image references.

The grammar is that of https://pkg.go.dev/github.com/distribution/reference, which registries and engines share.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping

from crypto_predict.errors import InvalidValue
from crypto_predict.release.job import Job
from crypto_predict.release.version import Build

SUMMARY = "Tell the names under which an image is published."
EXAMPLES = """\
  ... tags --registry ghcr.io --repository Owner/crypto-predict --build 0.3.1-20240518121047

outputs: image (in lower case, as registries demand), and with their tags build_ref, version_ref, latest_ref
"""

LONGEST_NAME = 255  # characters

_LABEL = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:]+\])(?::[0-9]{{1,5}})?")
_PART = "[a-z0-9]+(?:(?:[.]|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PART}(?:/{_PART})*")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--registry", required=True, metavar="HOST", help="such as ghcr.io or localhost:5000")
    parser.add_argument("--repository", required=True, metavar="OWNER/NAME", help="in capitals or not")
    parser.add_argument("--build", required=True, metavar="X.Y.Z-YYYYMMDDHHMMSS", help="the version and the timestamp")


def run(options: argparse.Namespace, job: Job) -> Mapping[str, str]:  # noqa: ARG001 every command is handed its job
    """Tell the names; outputs the image and its three references.

    Raises:
        InvalidValue: A registry or an engine would refuse one of them.
    """
    image = image_name(options.registry, options.repository)
    build = Build.parse("--build", options.build)
    tags = {"build_ref": str(build), "version_ref": str(build.version), "latest_ref": "latest"}
    return {"image": image, **{name: f"{image}:{tag}" for name, tag in tags.items()}}


def image_name(registry: str, repository: str) -> str:
    """The name of an image without its tag; owners may have capitals, images may not.

    Raises:
        InvalidValue: One of the two is not what an image can be named by.
    """
    host, path = registry.lower(), repository.lower()
    if not _REGISTRY.fullmatch(host) or not _is_host(host):
        raise InvalidValue("--registry", registry, "the host of a registry, such as ghcr.io or localhost:5000")
    if not _PATH.fullmatch(path) or len(host) + 1 + len(path) > LONGEST_NAME:
        expected = (
            "a name that an image can have: letters and digits, between which one '.', '_', '__' or any number of '-' "
            f"may stand, {LONGEST_NAME} characters with the registry at most; name the repository so"
        )
        raise InvalidValue("--repository", repository, expected)
    return f"{host}/{path}"


def _is_host(registry: str) -> bool:
    """Whether engines take this for a registry; a plain word would be an owner at Docker Hub."""
    return registry == "localhost" or "." in registry or ":" in registry
