"""Conditional requests (RFC 9110, section 13) with GET and HEAD.

A date that cannot be parsed is ignored, as the standard demands. An entity tag that cannot be parsed does not match.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

HEADERS = frozenset({"HTTP_IF_MATCH", "HTTP_IF_UNMODIFIED_SINCE", "HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE"})

# RFC 9110, section 5.6.7: the preferred form, and the two obsolete ones that must be accepted.
_HTTP_DATES = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")


def evaluate(environ: WSGIEnvironment, etag: str | None, last_modified: str | None) -> HTTPStatus | None:
    """Return the status that replaces 200 by section 13.2.2 (412 or 304), or None to send the answer.

    `etag` and `last_modified` are headers of the answer, if it has them.
    """
    if (wanted := environ.get("HTTP_IF_MATCH")) is not None:
        if not _matches_strongly(wanted, etag):
            return HTTPStatus.PRECONDITION_FAILED
    elif _is_newer(last_modified, environ.get("HTTP_IF_UNMODIFIED_SINCE")) is True:
        return HTTPStatus.PRECONDITION_FAILED
    if (etags := environ.get("HTTP_IF_NONE_MATCH")) is not None:
        return HTTPStatus.NOT_MODIFIED if _matches_weakly(etags, etag) else None
    return HTTPStatus.NOT_MODIFIED if _is_newer(last_modified, environ.get("HTTP_IF_MODIFIED_SINCE")) is False else None


def _matches_strongly(field: str, etag: str | None) -> bool:
    """Whether the list contains the tag, and it is not weak."""
    # Splitting a tag that contains a comma is harmless: `ETag` never contains one.
    tags = {tag.strip(" \t") for tag in field.split(",")}
    return "*" in tags or (etag in tags and not str(etag).startswith("W/"))


def _matches_weakly(field: str, etag: str | None) -> bool:
    """Whether the list contains the tag, weak or not."""
    without_mark = ",".join(tag.strip(" \t").removeprefix("W/") for tag in field.split(","))
    return _matches_strongly(without_mark, etag and etag.removeprefix("W/"))


def _is_newer(last_modified: str | None, since: str | None) -> bool | None:
    """Whether the answer changed after `since`; None if one of the two is missing or not an HTTP date."""
    if last_modified is None or since is None:
        return None
    date, changed = _parse(since), _parse(last_modified)
    return None if date is None or changed is None else changed > date


def _parse(text: str) -> datetime | None:
    for form in _HTTP_DATES:
        with contextlib.suppress(ValueError):
            return datetime.strptime(text, form).replace(tzinfo=UTC)
    return None
