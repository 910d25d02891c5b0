"""How much a first visit transfers, from a real server with five years of history."""

import re
from collections.abc import Iterator

import pytest
import requests

from tests.support.models import BTC
from tests.support.page import needs_bundle
from tests.support.pages import train
from tests.support.serving import Served, serving

pytestmark = needs_bundle

MOST_IN_ALL, MOST_OF_THE_PAGE = 130_000, 40_000  # bytes, compressed, with headers
LOADED = re.compile(r'(?:src|href)="\./(page/built/(?!licenses)[^"]+)"')
DOCUMENTS = (".json", "/record.json", "/releases.json")  # that the scripts ask for


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of a model that was trained on five years."""
    model = train(tmp_path_factory.mktemp("model"), "--source", "simulated", "--pair", str(BTC), "--days", "1825")
    with serving(model) as served:
        yield served


def transferred(answer: requests.Response) -> int:
    """Return the bytes of an answer as they were sent, with its headers."""
    return len(answer.raw.read()) + sum(len(name) + len(value) + 4 for name, value in answer.headers.items())


def test_a_first_visit_is_small(served: Served) -> None:
    """A visitor who has to wait leaves. Scripts, style, icon and documents are part of it."""

    def sent(path: str) -> int:
        answer = requests.get(f"{served.url}/{path}", headers={"Accept-Encoding": "gzip"}, timeout=30, stream=True)
        assert answer.status_code == 200, path
        return transferred(answer)

    page = requests.get(served.url, timeout=30).text
    files = LOADED.findall(page)
    assert {re.sub(r"-\w+\.", ".", file.rpartition("/")[2]) for file in files} >= {"icon.svg", "main.js", "style.css"}
    documents = [f"page/{BTC.slug}{ending}" for ending in DOCUMENTS]
    sizes = {path: sent(path) for path in ["", *sorted(set(files)), *documents]}
    assert sizes[""] <= MOST_OF_THE_PAGE
    assert sum(sizes.values()) <= MOST_IN_ALL, sizes


def test_the_files_of_the_bundle_are_kept_for_a_year(served: Served) -> None:
    """A second visit takes them from the browser's cache; a new release has new names."""
    for file in set(LOADED.findall(requests.get(served.url, timeout=30).text)):
        answer = requests.get(f"{served.url}/{file}", timeout=30)
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
