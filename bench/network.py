"""The network of a build: the registry of npm, and failures that another attempt may not meet."""

import re
import shutil

from crypto_predict.release.programs import output_of

# Of registries; and of BuildKit, which sometimes misses files of the context that are there (docker/buildx#1225).
_TEMPORARY = re.compile(
    "failed to resolve source metadata|failed to copy: httpReadSeeker|registry-1[.]docker[.]io"
    "|failed to calculate checksum of ref"
)


def npm_registry() -> dict[str, str]:
    """Return the registry of npm that this machine uses, as a build argument; none without npm."""
    if shutil.which("npm") is None:
        return {}
    return {"NPM_CONFIG_REGISTRY": output_of("npm", "config", "get", "registry").strip()}


def is_temporary(complaint: str) -> bool:
    """Return whether a build or a pull failed for a reason that another attempt may not meet."""
    return _TEMPORARY.search(complaint) is not None
