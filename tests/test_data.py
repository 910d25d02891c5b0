"""The programs in `docs/data.md` work against a real server."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from crypto_predict.baked import store
from tests.support.collected import fill
from tests.support.models import make_model
from tests.support.serving import ROOT, serving

GUIDE = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
CURL, PANDAS, PLAIN, SHEET, JAVASCRIPT = [text for _, text in BLOCKS]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("data")
    fill(str(folder / "market.db"))
    store.save(make_model(), folder / "model.pkl")
    with serving(folder / "model.pkl", "--database", str(folder / "market.db")) as served:
        yield served.url


def output(url: str, program: str, *command: str, folder: Path = ROOT) -> str:
    """Run a program of the guide against the server, and return what it prints."""
    assert "http://127.0.0.1:8000" in program
    words = [*command, program.replace("http://127.0.0.1:8000", url)]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True, timeout=120).stdout


def test_curl_writes_files_with_a_column_for_each_quantile_and_a_row_for_each_figure_of_risk(
    url: str, tmp_path: Path
) -> None:
    output(url, CURL, "bash", "-c", folder=tmp_path)
    names, *rows = (tmp_path / "forecast.csv").read_text(encoding="utf-8").splitlines()
    assert {"date", "prediction", "quantile_0.05", "quantile_0.5", "quantile_0.95"} <= set(names.split(","))
    assert len(rows) == 30
    names, *rows = (tmp_path / "risk.csv").read_text(encoding="utf-8").splitlines()
    assert (names.split(",")[1], len(rows)) == ("figure", 10)


def test_pandas_reads_candles_with_their_times(url: str) -> None:
    printed = output(url, PANDAS, sys.executable, "-c")
    assert re.search(r"^2026-11-04 00:00:00\+00:00 +\d+\.\d+$", printed, re.MULTILINE)


def test_a_program_without_packages_reads_every_page(url: str) -> None:
    number, time, close = output(url, PLAIN, sys.executable, "-c").split()
    assert (int(number) > 60, time, float(close) > 0) == (True, "2026-11-04T08:00:00Z", True)


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_the_javascript_program_prints_a_price(url: str) -> None:
    assert float(output(url, JAVASCRIPT, "node", "--input-type=module", "--eval")) > 0


def test_the_formulas_of_a_spreadsheet_ask_for_files(url: str) -> None:
    """Their programs cannot be executed here. The model of the test ends before the days of the first one."""
    paths = re.findall(r'\("https?://[^/]+([^"]+)"\)', SHEET)
    assert len(paths) == 2
    for path in paths:
        with urlopen(url + path.partition("?start=")[0], timeout=30) as answer:
            assert answer.headers["Content-Type"].startswith("text/csv")
            assert answer.read().count(b"\r\n") > 1
