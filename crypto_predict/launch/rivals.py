"""Install what other people's models need into an environment of their own: ``rivals/.venv``.

    python rivals.py rivals

`rivals/requirements.txt` names the packages, without the hashes of a lock. The environment also has the packages of the
Python that executes this file, for which nothing changes: a model with another NumPy has it for itself. The Python in
the environment then executes these models (`forecasting.models.rival`). Nothing is done if it is up to date.
"""

import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from pathlib import Path

REQUIREMENTS, ENVIRONMENT = "requirements.txt", ".venv"
INSTALLED = "installed.txt"  # in the environment: what it is for
TRAINING = "training.pth"  # in its packages: where those of the training are


def main(arguments: Sequence[str]) -> int:
    """Install the requirements in this folder; return the exit code."""
    folder = Path(arguments[0])
    requirements, environment = folder / REQUIREMENTS, folder / ENVIRONMENT
    if not requirements.exists():
        shutil.rmtree(environment, ignore_errors=True)
        return 0
    training = "\n".join(dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib")))
    needed = f"{sys.version}\n{training}\n{requirements.read_text(encoding='utf-8', errors='replace')}"
    installed = environment / INSTALLED
    if installed.exists() and installed.read_text(encoding="utf-8") == needed:
        return 0
    print(f"Installing the packages of {requirements}")  # noqa: T201 a command
    venv.create(environment, clear=True, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(environment)}))
    (packages / TRAINING).write_text(training, encoding="utf-8")
    python = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    code = subprocess.run([*python, "--requirement", str(requirements)], check=False).returncode  # noqa: S603 no shell reads it
    if code:
        shutil.rmtree(environment)
        reason = "its packages could not be installed, for the reason above; correct or remove it"
        print(f"{requirements}: {reason}", file=sys.stderr)  # noqa: T201 a command
        return code
    installed.write_text(needed, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
