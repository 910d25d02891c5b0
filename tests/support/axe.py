"""axe-core, of npm: what a page makes hard for its readers."""

from __future__ import annotations

import pytest

from tests.support.browser import Browser
from tests.support.serving import ROOT

SCRIPT = ROOT / "page" / "node_modules" / "axe-core" / "axe.min.js"
needs_axe = pytest.mark.skipif(not SCRIPT.exists(), reason="axe-core is not installed: `make lint` installs it")
_RUN = """
const done = arguments[0];
axe.run(document, { resultTypes: ["violations"] }).then(
  (found) => done(found.violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ html, any }) => `${id}: ${help}: ${html.slice(0, 200)} ${any.map((one) => one.message)}`))),
  (error) => done([String(error)]),
);
"""


def findings(browser: Browser) -> list[str]:
    """Return what axe-core finds in the open page by all of its rules, the best practices included."""
    if not browser.run("return 'axe' in globalThis"):
        browser.run(SCRIPT.read_text())
    return list(browser.driver.execute_async_script(_RUN))
