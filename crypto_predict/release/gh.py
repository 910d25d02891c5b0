"""GitHub, by ``gh``, which every runner has. It reads the token of the job from ``GH_TOKEN``."""

from __future__ import annotations

import logging
import re
import time

from crypto_predict.errors import ReleaseFailed
from crypto_predict.release.programs import ProgramFailed, output_of

PAUSES = (1.0, 3.0, 9.0)  # seconds before a call that failed for a passing reason is made again

_PASSING = re.compile(
    r"\bHTTP (429|5[0-9]{2})\b|error connecting|connection (reset|refused)|timeout|EOF", re.IGNORECASE
)
_log = logging.getLogger(__name__)


def gh(*words: str, stdin: str = "") -> str:
    """Return the output of a gh command.

    Raises:
        ProgramFailed: GitHub refused.
        ReleaseFailed: GitHub still does not answer.
    """
    for pause in (*PAUSES, None):
        try:
            return output_of("gh", *words, stdin=stdin, environ={"NO_COLOR": "1"})
        except ProgramFailed as error:
            if not _PASSING.search(error.complaint):
                raise
            failure = str(error)
        if pause is not None:
            _log.info("%s; asking again in %.0f s", failure, pause)
            time.sleep(pause)
    raise ReleaseFailed(f"GitHub does not answer: {failure}; run the failed job again")
