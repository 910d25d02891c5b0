"""Lighthouse's audits that measure no time; `python -m bench --only page` has its score of performance, too."""

from pathlib import Path

import pytest

from tests.support import lighthouse
from tests.support.browser import needs_page
from tests.support.pages import collecting_site

pytestmark = [*needs_page, pytest.mark.skipif(lighthouse.why_not() != "", reason=lighthouse.why_not() or "it runs")]

LEAST = 95


def test_accessibility_best_practices_and_seo_have_high_scores(tmp_path: Path) -> None:
    """As a phone shows the page, with everything that it can have."""
    with collecting_site(tmp_path) as (_, served):
        scores = lighthouse.audit(served.url)
    del scores["performance"]
    assert {name: score for name, score in scores.items() if score < LEAST} == {}
