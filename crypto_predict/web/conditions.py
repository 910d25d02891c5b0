"""Conditional requests (RFC 9110, section 13) with GET and HEAD.

A date that cannot be parsed is ignored, as the standard demands. An entity tag that cannot be parsed does not match.
"""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

HEADERS = frozenset({"HTTP_IF_MATCH", "HTTP_IF_UNMODIFIED_SINCE", "HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE"})

# RFC 9110, section 5.6.7: the preferred form, and the two obsolete ones that must be accepted.
_HTTP_DATES = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")


def evaluate(environ: WSGIEnvironment, etag: str | None, last_modified: str | None) -> HTTPStatus | None:
    """Return the status that replaces 200, if any, with the precedence of section 13.2.2.

    Args:
        environ: The request.
        etag: The `ETag` of the answer, if it has one.
        last_modified: Its `Last-Modified`, if it has one.

    Returns:
        412 or 304; None to send the answer.
    """
    changed = _date(last_modified)
    if (wanted := environ.get("HTTP_IF_MATCH")) is not None:
        if not _matches_strongly(wanted, etag):
            return HTTPStatus.PRECONDITION_FAILED
    elif (since := _date(environ.get("HTTP_IF_UNMODIFIED_SINCE"))) and changed and changed > since:
        return HTTPStatus.PRECONDITION_FAILED
    if (held := environ.get("HTTP_IF_NONE_MATCH")) is not None:
        return HTTPStatus.NOT_MODIFIED if _matches_weakly(held, etag) else None
    if (since := _date(environ.get("HTTP_IF_MODIFIED_SINCE"))) and changed and changed <= since:
        return HTTPStatus.NOT_MODIFIED
    return None


def _matches_strongly(field: str, etag: str | None) -> bool:
    """Whether the field has the same tag, and neither is weak."""
    tags = _tags(field)
    return "*" in tags or (etag in tags and not str(etag).startswith("W/"))


def _matches_weakly(field: str, etag: str | None) -> bool:
    """Whether the field has the same tag, weak or not."""
    tags = _tags(field)
    return "*" in tags or (etag is not None and etag.removeprefix("W/") in {tag.removeprefix("W/") for tag in tags})


def _tags(field: str) -> set[str]:
    """Return the tags of the list. Splitting a tag that contains a comma is harmless: `ETag` never contains one."""
    return {member.strip(" \t") for member in field.split(",")}


def _date(field: str | None) -> datetime | None:
    """Parse an HTTP date; None if the text is anything else."""
    for form in _HTTP_DATES:
        try:
            return datetime.strptime(field or "", form).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None
