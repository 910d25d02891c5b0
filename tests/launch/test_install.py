"""Locked packages are installed by uv with pip's settings, or by pip where uv cannot be had."""

import hashlib
import os
import shutil
import sys
import venv
from pathlib import Path

import pytest

from crypto_predict.launch.install import pip_settings, translated
from tests.support.processes import Finished, run_measured
from tests.support.serving import ROOT
from tests.support.wheels import make_wheel

UV = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
INSTALL = ROOT / "crypto_predict" / "launch" / "install.py"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with an environment, a wheel that no index has, and its lock."""
    venv.create(tmp_path / "environment", system_site_packages=True, symlinks=True)
    shutil.copy(INSTALL, tmp_path)
    wheel = make_wheel(tmp_path / "links")
    lock(tmp_path, hashlib.sha256(wheel.read_bytes()).hexdigest())
    shutil.copy(ROOT / "requirements-uv.txt", tmp_path)
    return tmp_path


def lock(shop: Path, digest: str) -> None:
    """Write the lock of the wheel with this SHA-256."""
    (shop / "requirements.txt").write_text(f"candle-shop==1.0 --hash=sha256:{digest}\n")


def install(shop: Path, path: str) -> Finished:
    """Execute the program with the settings of pip alone: the folder of wheels, and no index."""
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(shop / "links"), "PIP_CONFIG_FILE": os.devnull}
    environ = {**pip, "PATH": path, "HOME": str(shop), "UV_CACHE_DIR": str(shop / "cache")}
    python = shop / "environment" / "bin" / "python"
    return run_measured([str(python), str(shop / "install.py"), str(shop / "requirements.txt")], environ)


def installer(shop: Path) -> str:
    """Return which program has installed the package."""
    (name,) = (shop / "environment").glob("lib/*/site-packages/candle_shop-1.0.dist-info/INSTALLER")
    return name.read_text().strip()


@pytest.mark.skipif(UV is None, reason="uv is not installed")
def test_uv_installs_from_where_pip_would(shop: Path) -> None:
    """A company may allow its own index only, which pip alone is told about."""
    done = install(shop, str(Path(str(UV)).parent))
    assert done.code == 0, done.errors
    assert installer(shop) == "uv"


def test_pip_installs_where_uv_cannot_be_had(shop: Path) -> None:
    """There is no wheel of uv for some machines. Nobody needs to know."""
    done = install(shop, os.defpath)
    assert (done.code, done.errors) == (0, "")
    assert installer(shop) == "pip"


@pytest.mark.skipif(UV is None, reason="uv is not installed")
def test_another_file_than_the_locked_one_is_installed_by_neither(shop: Path) -> None:
    """The fall-back must not be weaker than what failed."""
    lock(shop, "0" * 64)
    done = install(shop, str(Path(str(UV)).parent))
    assert done.code != 0
    assert "uv could not install the packages" in done.errors
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in done.errors
    assert not list((shop / "environment").glob("lib/*/site-packages/candle_shop*"))


def test_every_setting_of_pip_that_matters_has_its_variable_of_uv() -> None:
    """`pip config list` prints them; of several places the environment wins, then the section of the command."""
    listed = """\
global.cert='/etc/ssl/company.crt'
global.extra-index-url='https://one.example/simple\\nhttps://two.example/simple'
global.index-url='https://global.example/simple'
install.index-url='https://install.example/simple'
:env:.proxy='http://proxy.example:3128'
:env:.trusted-host='one.example two.example'
freeze.timeout='10'
"""
    assert translated(pip_settings(listed)) == {
        "SSL_CERT_FILE": "/etc/ssl/company.crt",
        "UV_INDEX": "https://one.example/simple https://two.example/simple",
        "UV_DEFAULT_INDEX": "https://install.example/simple",
        "HTTP_PROXY": "http://proxy.example:3128",
        "HTTPS_PROXY": "http://proxy.example:3128",
        "UV_INSECURE_HOST": "one.example two.example",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
