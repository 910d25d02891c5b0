"""What the server uses of Waitress beyond its public interface, and the versions that have it."""

import re
import tomllib
from importlib.metadata import version

import pytest
from waitress.task import Task, ThreadedTaskDispatcher, WSGITask

from tests.support.serving import ROOT

USED = {
    Task: {"service", "build_response_header", "set_close_on_finish", "has_body"},
    WSGITask: {"get_environment", "execute"},
    ThreadedTaskDispatcher: {"set_thread_count", "add_task", "shutdown"},
}


@pytest.mark.parametrize("private", USED, ids=lambda private: private.__name__)
def test_the_private_classes_of_waitress_have_what_the_server_overrides_and_calls(private: type) -> None:
    """They are not documented, so an update may change them without notice."""
    assert USED[private] <= vars(private).keys()


def test_waitress_is_pinned_to_the_versions_with_these_classes() -> None:
    """An update to another minor version needs a look at them."""
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["api"]
    (pin,) = [line for line in dependencies if line.startswith("waitress")]
    assert pin == "waitress>=3.0.2,<3.1"
    assert re.fullmatch(r"3\.0\.([2-9]|\d\d)", version("waitress"))
