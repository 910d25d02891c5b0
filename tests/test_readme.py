import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path("README.md").read_text()


def options_of(command: str) -> set[str]:
    """Every option that the command's help shows, but the help itself."""
    shown = subprocess.run([sys.executable, command, "--help"], capture_output=True, text=True, check=True, timeout=60)
    return set(re.findall(r"^  (--[a-z-]+)", shown.stdout, re.MULTILINE))


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize(("command", "title"), [("train.py", "Train"), ("api.py", "Serve")])
def test_the_readme_explains_every_option_and_no_other(command: str, title: str) -> None:
    explained = set(re.findall(r"^\| `(--[a-z-]+)", section(title), re.MULTILINE))
    assert explained == options_of(command)


def test_every_local_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    local = [link for link in links if not link.startswith("http")]
    assert local
    assert [link for link in local if not Path(link).exists()] == []


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"`make ([a-z]+)`", README)) | set(re.findall(r"^make ([a-z]+)", README, re.MULTILINE))
    listed = subprocess.run(["make", "help"], capture_output=True, text=True, check=True, timeout=60).stdout
    assert targets <= set(re.findall(r"^  make ([a-z]+)", listed, re.MULTILINE))
