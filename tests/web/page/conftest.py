"""The ledgers of the tests of the page."""

from collections.abc import Callable
from pathlib import Path

import pytest

from crypto_predict.baked.ledger import Outcome, Release
from tests.support.ledgers import make_ledger


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a ledger of these contents."""

    def write_ledger(*contents: Release | Outcome) -> Path:
        path = tmp_path / "model.ledger.jsonl"
        path.write_bytes(make_ledger(*contents))
        return path

    return write_ledger


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger for all examples of Hypothesis."""
    return tmp_path_factory.mktemp("ledger") / "model.ledger.jsonl"
