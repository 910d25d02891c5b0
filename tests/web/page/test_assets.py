"""The built files of the page, by their names without the hash."""

from pathlib import Path

import pytest

from crypto_predict.web.page import assets


def test_the_built_files_are_found_by_their_names_without_the_hash(tmp_path: Path) -> None:
    for name in ("main-4TRZXC7Q.js", "style-LLHGWB7D.css", "icon-DLNUQIAW.svg", "licenses-E2D5E2DC.txt"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    result = assets.find(tmp_path)
    assert result.files == {
        "icon.svg": "icon-DLNUQIAW.svg",
        "licenses.txt": "licenses-E2D5E2DC.txt",
        "main.js": "main-4TRZXC7Q.js",
        "style.css": "style-LLHGWB7D.css",
    }
    assert result.read("main-4TRZXC7Q.js") == (b"main-4TRZXC7Q.js", None)
    (tmp_path / "main-4TRZXC7Q.js.br").write_bytes(b"smaller")
    assert result.read("main-4TRZXC7Q.js") == (b"main-4TRZXC7Q.js", b"smaller")
    assert assets.find(tmp_path).files == result.files, "its address is that of the file itself"


@pytest.mark.parametrize(
    "name",
    ["main.js", "main-4TRZXC7Q.js.map", "main-4trzxc7q.js", ".main-4TRZXC7Q.js", "notes-4TRZXC7Q.md", "main-4TRZXC7Q"],
)
def test_a_file_without_a_hash_or_of_an_unknown_type_is_not_served(tmp_path: Path, name: str) -> None:
    """Served files are kept by browsers for a year, under the type that is known here."""
    (tmp_path / name).touch()
    assert assets.find(tmp_path).files == {}


def test_without_a_build_there_are_no_files(tmp_path: Path) -> None:
    assert assets.find(tmp_path / "built").files == {}
