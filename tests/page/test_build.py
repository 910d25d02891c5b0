"""The bundle of the page's scripts: small, reproducible, clean by the page's policy, and with its licenses."""

import gzip
import json
import re
from pathlib import Path

import pytest

from tests.support.page import BUILT, bundle, copy_sources, files_in, needs_build, needs_bundle
from tests.support.serving import ROOT

HASHED = re.compile(r"(\w+)-[0-9A-Z]{8}\.(\w+)(?:\.br)?")
MOST_COMPRESSED = 90_000  # bytes: the first visit is at most 130 kB, of which the page itself may need 40
# What the page's Content-Security-Policy refuses.
REFUSED = re.compile(r"\beval\s*\(|\bnew Function\b|(?<![\w.$])Function\s*\(|set(?:Timeout|Interval)\(\s*[\"'`]")


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return copy_sources(tmp_path)


def built(page: Path) -> dict[str, bytes]:
    """Bundle the scripts of a folder; return the files."""
    done = bundle(page)
    assert done.returncode == 0, done.stderr
    return files_in(page.parent / BUILT)


@needs_bundle
def test_the_bundle_is_small() -> None:
    """On a phone's connection each kilobyte delays the chart."""
    files = files_in(ROOT / BUILT)
    loaded = {
        name: len(gzip.compress(content))
        for name, content in files.items()
        if re.match("main|style|icon", name) and not name.endswith(".br")
    }
    assert len(loaded) == 3
    assert sum(loaded.values()) <= MOST_COMPRESSED


@needs_bundle
def test_the_bundle_does_nothing_that_the_policy_of_the_page_refuses() -> None:
    """A browser stops such a script, in the one situation in which somebody reaches that line."""
    scripts = [content.decode() for name, content in files_in(ROOT / BUILT).items() if name.endswith(".js")]
    assert [REFUSED.findall(script) for script in scripts] == [[]]


@pytest.mark.parametrize(
    "line",
    ["eval(text)", "new Function('a', 'return a')", "Function('x')", "setTimeout('run()', 5)"],
)
def test_what_the_policy_refuses_is_found(line: str) -> None:
    """A search that cannot find anything would be no check."""
    assert REFUSED.search(line)


@needs_build
def test_the_same_sources_give_the_same_files(page: Path, tmp_path: Path) -> None:
    """Equal layers are stored and sent once. Where the sources are does not matter."""
    again = copy_sources(tmp_path / "elsewhere")
    assert built(page) == built(page) == built(again)


@needs_build
def test_a_name_changes_with_the_content(page: Path) -> None:
    """Browsers keep these files for a year."""
    before = built(page).keys()
    (page / "style.css").write_text("body { margin: 1px }")
    after = built(page).keys()
    assert {name.partition("-")[0] for name in before ^ after} == {"style"}
    assert {"-".join(HASHED.fullmatch(name).groups()) for name in after - {"NOTICE"}} == {  # type: ignore[union-attr] # a None fails the test
        *("icon-svg", "licenses-txt", "main-js", "style-css")
    }


@needs_build
def test_a_script_with_a_fault_leaves_the_last_bundle(page: Path) -> None:
    """The server goes on with scripts that work."""
    before = built(page)
    (page / "scripts" / "main.js").write_text('import "./missing.js";')
    done = bundle(page)
    assert done.returncode != 0
    assert "missing.js" in done.stderr
    assert files_in(page.parent / BUILT) == before


def add_package(page: Path, **description: str) -> None:
    (page / "node_modules" / "added").mkdir()
    (page / "node_modules" / "added" / "index.js").write_text("document.title = 'added';")
    named = {"name": "added", "version": "1.0.0", "main": "index.js", **description}
    (page / "node_modules" / "added" / "package.json").write_text(json.dumps(named))
    with (page / "scripts" / "main.js").open("a") as script:
        script.write('import "added";')


@needs_build
def test_the_license_of_every_package_in_the_bundle_is_shipped(page: Path) -> None:
    """Apache 2.0 and MIT demand that. Only what is in the bundle counts: the builder itself is not."""
    add_package(page, license="MIT", author="An Author")
    with (page / "scripts" / "main.js").open("a") as script:
        script.write('export { createChart } from "lightweight-charts";')
    (text,) = [content.decode() for name, content in built(page).items() if name.startswith("licenses-")]
    assert re.findall(r"(?m)^(\S+) \S+, license (\S+)$", text) == [
        *(("added", "MIT"), ("fancy-canvas", "MIT"), ("lightweight-charts", "Apache-2.0"))
    ]
    assert "Copyright (c) An Author" in text
    assert "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION" in text
    assert "https://www.tradingview.com/" in (page / "NOTICE").read_text(encoding="utf-8")


@needs_build
@pytest.mark.parametrize(
    ("identifier", "fault"),
    [
        ("GPL-3.0-only", "added 1.0.0 has the license GPL-3.0-only: expected one of Apache-2.0, ISC, MIT"),
        ("UNLICENSED", "added 1.0.0 has the license UNLICENSED: expected one of Apache-2.0, ISC, MIT"),
        ("Apache-2.0", "does not contain the text of its license Apache-2.0"),
    ],
)
def test_a_package_without_an_accepted_license_and_its_text_fails_the_build(
    page: Path, identifier: str, fault: str
) -> None:
    """Otherwise it would be noticed after the release."""
    add_package(page, license=identifier)
    done = bundle(page)
    assert done.returncode != 0
    assert fault in done.stderr
    assert not (page.parent / BUILT).exists()
