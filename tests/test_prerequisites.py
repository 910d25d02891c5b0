"""How a command imports its libraries; tests/test_command_lines.py has what it says if one is missing."""

import gc
import importlib
import subprocess
import sys

import pytest

from crypto_predict.prerequisites import quick_imports, without


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


def test_an_optional_library_is_absent_during_an_import_unless_it_is_there_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "this", raising=False)
    with pytest.raises(ModuleNotFoundError), without("this"):
        importlib.import_module("this")
    assert "this" not in sys.modules
    with without("gc"):
        assert importlib.import_module("gc") is gc
    assert sys.modules["gc"] is gc


def test_a_training_imports_the_libraries_of_other_models_and_of_pictures_only_when_it_needs_them() -> None:
    """They take longer to import than a backtest takes."""
    imports = "from crypto_predict.training import pipeline", "from crypto_predict.forecasting.models import garch"
    for count, loaded, absent in (
        (1, "prophet", {"arch", "matplotlib", "scipy.signal", "statsmodels"}),
        (2, "arch", {"matplotlib", "scipy.signal"}),
    ):
        program = "\n".join([*imports[:count], "import sys", "print(*sys.modules)"])
        result = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
        assert loaded in (modules := set(result.stdout.split()))
        assert not absent & modules
