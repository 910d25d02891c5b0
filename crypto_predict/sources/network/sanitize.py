"""Texts that an exchange sent, as a log may contain them."""

import base64
import re
from collections.abc import Iterable, Set
from urllib.parse import unquote

from crypto_predict.settings import masked

_SHORTEST_SECRET = 4  # characters; shorter ones are masked as whole words only


class Sanitizer:
    """Mask the `keys`, and the user names and passwords in the `addresses`, in texts."""

    def __init__(self, keys: Iterable[str], *addresses: str) -> None:
        self._secrets = _pattern_of({*keys, *_secrets_of(*addresses)})

    def __call__(self, text: str) -> str:
        """Return a text from outside for a log: without secrets and control characters, and short."""
        text = masked(self._secrets.sub("***", text))
        text = "".join(letter if letter.isprintable() else " " for letter in text[:500])
        return text if len(text) <= 200 else f"{text[:200]}..."


def _secrets_of(*addresses: str) -> set[str]:
    """Return the user names and passwords in these addresses: as written, decoded, and as HTTP sends them."""
    secrets: set[str] = set()
    for address in addresses:
        user = address.partition("//")[2].rpartition("@")[0]
        parts = [user, *user.split(":", 1)]
        sent = base64.b64encode(unquote(user).encode("utf-8", "replace")).decode()
        secrets.update((*parts, *map(unquote, parts), sent))
    return secrets - {""}


def _pattern_of(secrets: Set[str]) -> re.Pattern[str]:
    """Return a pattern that finds each of these texts, the longest first: one may begin like another.

    A very short one is matched as a whole word. A user called u would turn "refused" into "ref***sed" otherwise.
    """
    ordered = sorted(secrets, key=lambda secret: (-len(secret), secret))
    words = (
        re.escape(word) if len(word) >= _SHORTEST_SECRET else rf"(?<!\w){re.escape(word)}(?!\w)" for word in ordered
    )
    return re.compile("|".join(words) or "(?!)")
