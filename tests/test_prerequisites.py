"""How a command imports its libraries; tests/test_command_lines.py has what it says if one is missing."""

import gc
import sys

import pytest

from crypto_predict.prerequisites import quick_imports


def test_the_search_for_garbage_pauses_during_an_import_and_leaves_out_what_was_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that never searched again would grow without end."""
    monkeypatch.delitem(sys.modules, "this", raising=False)
    before = gc.get_freeze_count()
    with quick_imports():
        assert not gc.isenabled()
        import this  # noqa: F401, PLC0415 nothing else imports it
    assert gc.isenabled()
    assert gc.get_freeze_count() > before


def test_neither_a_failed_import_nor_a_second_one_ends_the_search_for_garbage_or_freezes_anything() -> None:
    """Freezing makes garbage permanent; a second call happens in tests in one process."""
    before = gc.get_freeze_count()
    with pytest.raises(ModuleNotFoundError), quick_imports():
        raise ModuleNotFoundError
    assert gc.isenabled()
    assert gc.get_freeze_count() <= before
