"""The guides in `docs/`: what they name exists."""

import re
from pathlib import Path

import pytest

from tests.serving import ROOT

GUIDES = sorted((ROOT / "docs").glob("*.md"))
GO_LIVE = (ROOT / "docs" / "go-live.md").read_text(encoding="utf-8")
WORKFLOWS = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / ".github" / "workflows").glob("*.yml")}


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_every_local_link_leads_somewhere(guide: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", guide.read_text(encoding="utf-8"))
    local = [link.partition("#")[0] for link in links if "://" not in link]
    assert [link for link in local if not (guide.parent / link).exists()] == []


def test_every_setting_of_the_guide_is_read_by_a_workflow_as_what_it_is() -> None:
    """A secret that is stored as a variable would be printed in logs, and the other way round nothing would be read."""
    rows = re.findall(r"^\| (`[A-Z_`, ]+) \| (secret|variable) \|", GO_LIVE, re.MULTILINE)
    context = {"secret": "secrets", "variable": "vars"}
    settings = {f"{context[kind]}.{name}" for names, kind in rows for name in re.findall(r"[A-Z_]+", names)}
    assert {"secrets.RENDER_DEPLOY_HOOK", "vars.SITE_URL", "vars.HORIZONS"} <= settings
    read = {name for text in WORKFLOWS.values() for name in re.findall(r"\b(?:secrets|vars)\.[A-Z_]+", text)}
    assert settings - read == set()


def test_every_setting_that_the_guide_speaks_of_is_in_its_table() -> None:
    """`PORT` is Render's own, `OWNER` and `YOU` are to be replaced."""
    text, _, table = GO_LIVE.partition("\n| name | kind |")
    named = set(re.findall(r"`([A-Z][A-Z_]{2,})`", text + table.partition("\n\n")[2]))
    assert named - {"PORT", "OWNER", "YOU"} <= set(re.findall(r"`([A-Z_]+)`", table.partition("\n\n")[0]))


def test_every_workflow_with_a_schedule_is_switched_on_in_the_guide() -> None:
    """GitHub disables them in a fork, pushes and all."""
    scheduled = {name for name, text in WORKFLOWS.items() if re.search(r"^  schedule:$", text, re.MULTILINE)}
    chapter = GO_LIVE.partition("\n## 2. ")[2].partition("\n## 3. ")[0]
    assert scheduled == set(re.findall(r"`([a-z]+)`", chapter))


def test_every_test_that_holds_a_promise_exists() -> None:
    """A promise whose test was renamed or removed is held by nothing."""
    text = (ROOT / "docs" / "release.md").read_text(encoding="utf-8")
    named = re.findall(r"`(test_\w+\.py)(?:::(\w+))?`", text)
    assert len(named) > 15
    sources = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py")}
    assert [file for file, _ in named if file not in sources] == []
    assert [name for file, name in named if name and f"def {name}(" not in sources[file]] == []
