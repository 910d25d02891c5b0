"""The guides in `docs/` are complete, name only things that exist, and repeat no sentence."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from crypto_predict.market import Interval, SeriesKey
from crypto_predict.sources.catalog import EXCHANGES
from crypto_predict.store.tables import metadata
from crypto_predict.web.collected.endpoint import Sample
from crypto_predict.web.documentation.openapi import document
from crypto_predict.web.http.response import PROVENANCE, SERIES, STALE
from tests.support.applications import snapshot_of
from tests.support.models import BTC, TRAINED_AT, make_model
from tests.support.serving import ROOT
from tests.support.yaml_files import read_yaml

GUIDES = sorted((ROOT / "docs").glob("*.md"))
GO_LIVE = (ROOT / "docs" / "go-live.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
API, COLLECTING, FIGURES, OPTIONS = (
    (ROOT / "docs" / name).read_text(encoding="utf-8")
    for name in ("api.md", "collecting.md", "figures.md", "options.md")
)
DOCUMENTS = sorted({*ROOT.glob("*.md"), *GUIDES} - {ROOT / "CHANGELOG.md"})
WORKFLOWS = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / ".github" / "workflows").glob("*.yml")}


@pytest.mark.parametrize("guide", DOCUMENTS, ids=lambda guide: guide.name)
def test_every_local_link_has_a_target(guide: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", guide.read_text(encoding="utf-8"))
    local = [link.partition("#")[0] for link in links if "://" not in link]
    assert [link for link in local if not (guide.parent / link).exists()] == []


def test_every_secret_and_variable_of_the_guide_is_read_by_a_workflow_as_such() -> None:
    """A secret stored as a variable would be printed in logs; a variable stored as a secret would not be read."""
    rows = re.findall(r"^\| (`[A-Z_`, ]+) \| (secret|variable) \|", GO_LIVE, re.MULTILINE)
    context = {"secret": "secrets", "variable": "vars"}
    settings = {f"{context[kind]}.{name}" for names, kind in rows for name in re.findall(r"[A-Z_]+", names)}
    assert {"secrets.RENDER_DEPLOY_HOOK", "vars.SITE_URL", "vars.HORIZONS"} <= settings
    read = {name for text in WORKFLOWS.values() for name in re.findall(r"\b(?:secrets|vars)\.[A-Z_]+", text)}
    assert settings - read == set()


def test_every_setting_that_the_guide_mentions_is_in_its_table() -> None:
    """Render sets `PORT`; `OWNER` and `YOU` are placeholders."""
    text, _, table = GO_LIVE.partition("\n| name | kind |")
    named = set(re.findall(r"`([A-Z][A-Z_]{2,})`", text + table.partition("\n\n")[2]))
    assert named - {"PORT", "OWNER", "YOU"} <= set(re.findall(r"`([A-Z_]+)`", table.partition("\n\n")[0]))


def test_the_guide_enables_every_workflow_with_a_schedule() -> None:
    """GitHub disables these workflows in a fork, even for pushes."""
    scheduled = {name for name, text in WORKFLOWS.items() if re.search(r"^  schedule:$", text, re.MULTILINE)}
    chapter = GO_LIVE.partition("\n## 2. ")[2].partition("\n## 3. ")[0]
    assert scheduled == set(re.findall(r"`([a-z]+)`", chapter))


@pytest.mark.parametrize("name", ["release.md", "collecting.md"])
def test_every_test_of_a_promise_exists(name: str) -> None:
    """A promise whose test was renamed or removed would be untested."""
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    named = re.findall(r"`((?:\w+/)+test_\w+\.py)(?:::(\w+))?`", text)
    assert len(named) > 15
    assert [file for file, _ in named if not (ROOT / "tests" / file).exists()] == []
    tests = [(test, (ROOT / "tests" / file).read_text(encoding="utf-8")) for file, test in named if test]
    assert [test for test, source in tests if f"def {test}(" not in source] == []


@pytest.mark.parametrize("command", ["train.py", "collect.py", "api.py", "-m crypto_predict.web.export"])
def test_the_guide_lists_exactly_the_options_and_their_defaults(command: str) -> None:
    run = [sys.executable, *command.split(), "--help"]
    shown = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    options = shown.partition("\nexamples:")[0]
    described = dict(re.findall(r"^  (?:-\w, )?(--[a-z-]+)(.*?)(?=^  -|\Z)", options, re.MULTILINE | re.DOTALL))
    described.pop("--help", None)
    defaults = {name: re.findall(r"[(\s]default:\s+([^;)\]]+)", text) for name, text in described.items()}
    chapter = OPTIONS.partition(f": `{command}`\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(--[a-z-]+)[^|]*\| (?:`([^`]*)`)? *\|", chapter, re.MULTILINE)
    assert {name: [default] if default else [] for name, default in rows} == defaults


def test_the_guide_lists_exactly_the_variables_without_an_option() -> None:
    """Variables of options follow from the names of the options."""
    package = ROOT / "crypto_predict"
    names = ("settings.py", "training/options.py", "sources/exchange.py")
    code = "".join((package / name).read_text(encoding="utf-8") for name in names)
    read = set(re.findall(r"\"((?:ADMIN|SOURCE|MODEL|GIT|TRAINED|RIVAL)_[A-Z_]+)\"", code))
    read |= {name for exchange in EXCHANGES.values() for name in (*exchange.keys, *exchange.other_variables)}
    rows = re.findall(r"^\| (`[A-Z_`, ]+`)[^|]* \|", OPTIONS, re.MULTILINE)
    named = {name for names in rows for name in re.findall(r"[A-Z_]{4,}", names)}
    assert {"ALPACA_API_KEY", "SOURCE_DATE_EPOCH"} <= read
    assert {name for name in named if not name.startswith("GATE_")} == read
    assert "GATE_STALEST_HOURS" in named


def test_the_guides_have_a_row_for_each_exchange() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w*) ?\| `([A-Z_]+)` \| `([A-Z_]+)` \|$", OPTIONS, re.MULTILINE)
    assert rows == [
        (exchange.id, exchange.symbols.substitutes.get("USD", ""), exchange.api.variable, exchange.stream.variable)
        for exchange in EXCHANGES.values()
    ]
    streams = COLLECTING.partition("\n| source | stream |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` ", streams, re.MULTILINE) == [*EXCHANGES, "simulated"]


def test_the_guide_lists_exactly_the_endpoints_and_headers() -> None:
    snapshot = snapshot_of(make_model())
    described = document(snapshot, None, Sample(snapshot, SeriesKey("alpaca", BTC, Interval.MINUTE_1), TRAINED_AT))
    paths = {path for path in described["paths"] if not path.startswith("/docs")}
    rows = re.findall(r"^\| (`/.*?) \| ", API, re.MULTILINE)
    named = {address for row in rows for address in re.findall(r"`(/[a-z/{}.-]*)", row)}
    pages = {address for address in named if address in {"/", "/feed.xml"} or address.startswith("/page/")}
    assert named - pages == paths
    assert set(re.findall(r"`(Crypto-Predict-[A-Za-z-]+)`", API)) == {*PROVENANCE, STALE[0], *SERIES}


def test_the_guide_lists_exactly_the_tables_and_their_columns() -> None:
    """Somebody who reads the database with another program relies on them."""
    chapter = COLLECTING.partition("\n## The tables\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| (.*) \|$", chapter, re.MULTILINE)
    listed = {table: re.findall(r"`(\w+)`", columns) for table, columns in rows}
    assert listed == {name: [column.name for column in table.columns] for name, table in metadata.tables.items()}


def test_the_guide_lists_the_services_and_the_variables_of_compose() -> None:
    """Both files, since the second one extends the first."""
    files = [read_yaml(name) for name in ("compose.yaml", "compose.live.yaml")]
    services = {name for file in files for name in file["services"]}
    chapter = (ROOT / "docs" / "self-hosting.md").read_text(encoding="utf-8")
    chapter = chapter.partition("\n## With Docker\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z]+)` \|", chapter, re.MULTILINE)) == services
    read = set(re.findall(r"\$\{([A-Z_]+)", str(files))) - {"UNTIL", "SOURCE_DATE_EPOCH", "NPM_CONFIG_REGISTRY"}
    assert set(re.findall(r"`([A-Z_]{3,})`", chapter)) == read


def test_the_readme_has_the_figures_of_the_guide() -> None:
    """A new measurement must change both."""
    cells = re.findall(r"^\| BTC/USDT \| (.*) %? \| (.*) \| (.*) \| .* \|$", FIGURES, re.MULTILINE)
    coverage, winkler, prophet = (cell.replace(" %", "").split() for cell in cells[0])
    rows = {title: row.split(" | ") for title, row in re.findall(r"^\| ([^|]*?) \| (\S+ .*) \|$", README, re.MULTILINE)}
    assert rows["error of Prophet alone / of persistence"] == prophet
    assert rows["*coverage*: prices inside the 80 % range"] == [f"{share} %" for share in coverage]
    assert rows["*Winkler score* / of a plain range"] == winkler


@pytest.mark.parametrize("guide", [*DOCUMENTS, ROOT / "CHANGELOG.md"], ids=lambda guide: guide.name)
def test_no_table_is_torn(guide: Path) -> None:
    """A row with a cell too many loses it on GitHub, and a row after another line is shown as text."""
    text = guide.read_text(encoding="utf-8")
    torn, lines = [], text.splitlines()
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        first, end = token.map or (0, 0)
        if token.type == "table_open":
            widths = [len(re.findall(r"(?<!\\)\|", line)) for line in lines[first:end]]
            torn += [first + place + 1 for place, width in enumerate(widths) if width != widths[0]]
        elif token.type == "paragraph_open":
            torn += [place + 1 for place in range(first, end) if lines[place].lstrip().startswith("|")]
    assert [f"{guide.name}:{line}" for line in torn] == []


def test_no_sentence_is_written_twice() -> None:
    """One of two copies becomes outdated. Documents link to each other instead."""
    sentences = [sentence for path in DOCUMENTS for sentence in sentences_of(path.read_text(encoding="utf-8"))]
    assert len(sentences) > 150
    assert [sentence for sentence, count in Counter(sentences).items() if count > 1] == []


def sentences_of(text: str) -> list[str]:
    """Return the sentences of prose and tables in lower case without punctuation; short ones are left out."""
    prose = re.sub(r"^```.*?^```$", "\n\n", text, flags=re.MULTILINE | re.DOTALL)
    parts = re.split(r"[.:;?!]\s|\||\n\n|\n- |\n\d+\. ", prose)
    words = [re.findall(r"[^\W\d][\w/-]*", part.lower()) for part in parts]
    return [" ".join(sentence) for sentence in words if len(sentence) >= 7]
