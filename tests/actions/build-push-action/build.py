"""Build and push as the action would, with what the engine at hand can do."""

import os
import subprocess
from pathlib import Path


def main() -> None:
    """Do it."""
    environ = os.environ
    arguments = [word for line in lines("BUILD_ARGS") for word in ("--build-arg", line)]
    named = (line.partition("=") for line in lines("SECRET_ENVS"))
    secrets = [word for name, _, variable in named for word in ("--secret", f"id={name},env={variable}")]
    tag = environ["TAG"]
    command = ["docker", "build", "--network", "host", "--progress", "plain", *arguments, *secrets, "--tag", tag]
    subprocess.run([*command, environ["CONTEXT"]], check=True, env={**environ, "DOCKER_BUILDKIT": "1"})
    if environ["PUSH"] == "true":
        push(tag)


def push(tag: str) -> None:
    """Push it, and hand its digest on."""
    subprocess.run(["docker", "push", "--quiet", tag], check=True)
    with Path(os.environ["GITHUB_OUTPUT"]).open("a") as outputs:
        outputs.write(f"digest={digest_of(tag)}\n")


def lines(variable: str) -> list[str]:
    """The lines of an input, without empty ones."""
    return [line.strip() for line in os.environ[variable].splitlines() if line.strip()]


def digest_of(tag: str) -> str:
    """What the registry calls the image that was pushed."""
    words = ["docker", "image", "inspect", "--format", '{{join .RepoDigests "\\n"}}', tag]
    names = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    repository = tag.rpartition(":")[0]
    return next(name.partition("@")[2] for name in names if name.startswith(f"{repository}@"))


if __name__ == "__main__":
    main()
