"""A package that no index has, as a wheel."""

import base64
import hashlib
import zipfile
from pathlib import Path


def make_wheel(folder: Path, source: str = "") -> Path:
    """Write the wheel of the package candle-shop 1.0, whose module `candle_shop` has this source."""
    wheel = folder / "candle_shop-1.0-py3-none-any.whl"
    folder.mkdir(exist_ok=True)
    files = {
        "candle_shop.py": source.encode(),
        "candle_shop-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: candle-shop\nVersion: 1.0\n",
        "candle_shop-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in files.items()]
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr("candle_shop-1.0.dist-info/RECORD", "\n".join([*rows, "candle_shop-1.0.dist-info/RECORD,,"]))
    return wheel


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
