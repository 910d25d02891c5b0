"""Build and push like the action, with the engine of this machine.

This program pushes an index by digest alone, and makes the bills of materials, since the image of BuildKit's scanner is
only at Docker Hub. If the engine builds for one platform only, its image is used for both.
"""

import os
import re
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.network import npm_registry
from tests.support.engine import run_pulling
from tests.support.indexes import INDEX, SBOM_TYPE, Layout


def main() -> None:
    """Build, and push or write according to the inputs of the action."""
    environ = os.environ
    registry = [f"{name}={value}" for name, value in npm_registry().items()]
    arguments = [word for line in [*registry, *lines("BUILD_ARGS")] for word in ("--build-arg", line)]
    named = (line.partition("=") for line in lines("SECRET_ENVS"))
    keys = [word for name, _, variable in named for word in ("--secret", f"id={name},env={variable}")]
    target = ["--target", environ["TARGET"]] if environ["TARGET"] else []
    build = ["docker", "buildx", "build", "--network", "host", "--progress", "plain", *arguments, *keys, *target]
    outputs = dict(part.partition("=")[::2] for part in environ["OUTPUTS"].split(","))
    if outputs.get("type") == "image":
        assert (outputs["push-by-digest"], outputs["name-canonical"], outputs["push"]) == ("true", "true", "true")
        push(build, outputs["name"])
    else:
        where = ["--output", environ["OUTPUTS"]] if environ["OUTPUTS"] else ["--load", "--tag", environ["TAG"]]
        run(*build, "--provenance=false", *where, environ["CONTEXT"])


def push(build: list[str], name: str) -> None:
    """Push the index of all platforms by its digest, and output the digest."""
    scratch = f"{name.partition('/')[0]}/scratch/{secrets.token_hex(6)}:built"
    how = ["--push"]
    if builds_for_all_platforms():
        how += ["--platform", os.environ["PLATFORMS"], "--provenance=mode=max"]
        how += [word for line in lines("ANNOTATIONS") for word in ("--annotation", line)]
    else:
        how += ["--provenance=false"]
    run(*build, *how, "--tag", scratch, os.environ["CONTEXT"])
    with tempfile.TemporaryDirectory() as folder:
        source = f"docker://{scratch}"
        copy("--src-tls-verify=false", source, f"oci:{folder}/layout")
        layout = Layout(Path(folder) / "layout")
        if layout.media_type != INDEX:
            annotations = (line.removeprefix("index:").partition("=") for line in lines("ANNOTATIONS"))
            layout.wrap(os.environ["PLATFORMS"].split(","), {key: value for key, _, value in annotations})
        assert os.environ["SBOM"] == "true"
        packages = packages_in(scratch)
        for platform in os.environ["PLATFORMS"].split(","):
            layout.attest(platform, SBOM_TYPE, bill_of_materials(packages, platform))
        copy("--dest-tls-verify=false", f"oci:{layout.folder}", f"docker://{name}@{layout.digest}")
        with Path(os.environ["GITHUB_OUTPUT"]).open("a") as outputs:
            outputs.write(f"digest={layout.digest}\n")


def run(*command: str) -> None:
    """Run a command that builds an image, and show its report; retry if the failure is temporary."""
    done = run_pulling(command, {})
    sys.stdout.write(done.stdout + done.stderr)
    done.check_returncode()


def copy(*words: str) -> None:
    """Copy an image whole and unchanged."""
    subprocess.run(["skopeo", "copy", "--quiet", "--all", "--preserve-digests", *words], check=True)


def builds_for_all_platforms() -> bool:
    """Return whether the engine has containerd's image store, which can store indexes."""
    shown = subprocess.run(
        ["docker", "info", "--format", "{{.DriverStatus}}"], check=True, capture_output=True, text=True
    )
    return "io.containerd" in shown.stdout


def packages_in(image: str) -> list[str]:
    """Return the names of the packages in the image, which are the same on all platforms."""
    script = "cat /var/lib/dpkg/status; ls /packages"
    words = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-c", script]
    shown = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    result = re.findall(r"^Package: (\S+)$|^(\S+)-\S+\.dist-info$", shown, re.MULTILINE)
    return [debian or python for debian, python in result]


def bill_of_materials(packages: list[str], platform: str) -> dict[str, object]:
    listed = [{"name": name, "SPDXID": f"SPDXRef-{n}"} for n, name in enumerate(packages)]
    return {"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": platform, "packages": listed}


def lines(variable: str) -> list[str]:
    return [line.strip() for line in os.environ[variable].splitlines() if line.strip()]


if __name__ == "__main__":
    main()
