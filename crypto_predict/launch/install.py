"""Install locked packages for the Python that executes this file: with uv, or else with pip, which is ten times slower.

    python install.py requirements-api.txt requirements-train.txt

Both check the hashes of the locks, so they install the same files. The uv of PATH is used if it is recent enough, else
the one that `requirements-uv.txt` locks, which pip installs first. uv does not read the settings of pip (indexes,
certificates, proxy): they become its variables here, unless those are set. If uv fails, for whatever reason, pip
installs the packages.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

OLDEST_UV = (0, 11)  # the first that has UV_SYSTEM_CERTS
LOCK_OF_UV = "requirements-uv.txt"
# Settings of pip: what is between several values, and the variables of uv with the same meaning.
_VARIABLES = {
    "index-url": ("", "UV_DEFAULT_INDEX"),
    "no-index": ("", "UV_NO_INDEX"),
    "no-cache-dir": ("", "UV_NO_CACHE"),
    "default-timeout": ("", "UV_HTTP_TIMEOUT"),
    "timeout": ("", "UV_HTTP_TIMEOUT"),
    "cert": ("", "SSL_CERT_FILE"),
    "client-cert": ("", "SSL_CLIENT_CERT"),
    "proxy": ("", "HTTP_PROXY", "HTTPS_PROXY"),
    "extra-index-url": (" ", "UV_INDEX"),
    "find-links": (",", "UV_FIND_LINKS"),
    "trusted-host": (" ", "UV_INSECURE_HOST"),
}
_SETTING = re.compile(r"(?m)^(global|install|:env:)\.([\w-]+)=(.+)$")
_SECTIONS = ("global", "install", ":env:")  # a later one takes precedence


def main(locks: Sequence[str], environ: Mapping[str, str]) -> int:
    """Install what the locks name; return the exit code of the last program that tried."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    given = [word for lock in locks for word in ("--requirement", lock)]
    if uv := recent_uv(environ) or installed_uv(pip, Path(locks[0]).with_name(LOCK_OF_UV)):
        options = ["pip", "install", "--quiet", "--python", sys.executable, "--require-hashes"]
        listed = _run([sys.executable, "-m", "pip", "config", "list"], capture_output=True).stdout
        settings = {**translated(pip_settings(listed)), "UV_SYSTEM_CERTS": "1", **environ}
        done = _run([uv, *options, *given], capture_output=True, env=settings)
        if done.returncode == 0:
            return 0
        reason = " ".join(done.stderr.split())[:500]
        print(f"uv could not install the packages ({reason}); pip tries it", file=sys.stderr)  # noqa: T201 a command
    return _run([*pip, *given]).returncode


def recent_uv(environ: Mapping[str, str]) -> str | None:
    """Return the uv of PATH; None if there is none, or if it is too old."""
    program = shutil.which("uv", path=environ.get("PATH"))
    if program is None:
        return None
    version = re.match(r"uv (\d+)\.(\d+)", _run([program, "--version"], capture_output=True).stdout)
    return program if version and (int(version[1]), int(version[2])) >= OLDEST_UV else None


def installed_uv(pip: Sequence[str], lock: Path) -> str | None:
    """Install the uv of the lock beside the other packages; return its path, or None if pip cannot."""
    uv = Path(sys.executable).with_name("uv")
    done = _run([*pip, "--requirement", str(lock)], capture_output=True)
    return str(uv) if done.returncode == 0 and uv.exists() else None


def _run(words: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, text=True, errors="replace", check=False, **options)  # noqa: S603 no shell reads them


def pip_settings(listed: str) -> dict[str, str]:
    """Read the output of `pip config list`, of the sections that count for an installation."""
    settings = {(section, name): str(ast.literal_eval(value)) for section, name, value in _SETTING.findall(listed)}
    return {name: value for section in _SECTIONS for (where, name), value in settings.items() if where == section}


def translated(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of pip as variables of uv.

    pip takes the best file of any index. uv takes the first index that has a package, unless it is told otherwise; with
    hashes both are equally safe.
    """
    variables: dict[str, str] = {}
    for name, (between, *names) in _VARIABLES.items():
        value = settings.get(name, "")
        if value := between.join(value.split()) if between else value:
            variables |= dict.fromkeys(names, value)
    return {**variables, "UV_INDEX_STRATEGY": "unsafe-best-match"}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
