"""The rules of Atom (RFC 4287), of its archives (RFC 5005) and of feed validators, checked on a parsed document."""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree as ET

ATOM, HISTORY = "{http://www.w3.org/2005/Atom}", "{http://purl.org/syndication/history/1.0}"
XML = "{http://www.w3.org/XML/1998/namespace}"
_OFTEN = sys.maxsize
# The least and the greatest number of each child (RFC 4287, section 4.1).
_BOTH = dict.fromkeys(("id", "title", "updated"), (1, 1)) | {"rights": (0, 1)}
_BOTH |= dict.fromkeys(("author", "category", "contributor", "link"), (0, _OFTEN))
_CHILDREN = {
    "feed": _BOTH | dict.fromkeys(("generator", "icon", "logo", "subtitle"), (0, 1)) | {"entry": (0, _OFTEN)},
    "entry": _BOTH | dict.fromkeys(("content", "published", "source", "summary"), (0, 1)),
}
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")  # RFC 3339
MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+")


def parse(data: bytes) -> ET.Element:
    return ET.fromstring(data)


def entries(data: bytes) -> list[ET.Element]:
    return parse(data).findall(f"{ATOM}entry")


def text(element: ET.Element, name: str) -> str:
    return element.findtext(f"{ATOM}{name}") or ""


def links(element: ET.Element) -> dict[str, str]:
    return {link.get("rel", "alternate"): link.get("href", "") for link in element.findall(f"{ATOM}link")}


def faults(data: bytes, address: str) -> list[str]:
    """Return the violated rules of a feed that is served at an address."""
    return list(_faults(data, address))


def _faults(data: bytes, address: str) -> Iterator[str]:
    if not data.startswith(b'<?xml version="1.0" encoding="utf-8"?>\n<feed '):
        yield "no XML declaration"
    feed = parse(data)
    if feed.tag != f"{ATOM}feed":
        yield f"the root is {feed.tag}"
        return
    if not feed.get(f"{XML}lang"):
        yield "no language"
    members, relations = feed.findall(f"{ATOM}entry"), links(feed)
    if "self" not in relations or urljoin(address, relations["self"]) != address:
        yield f"self is {relations.get('self')}, not {address}"
    if feed.find(f"{ATOM}author") is None and any(entry.find(f"{ATOM}author") is None for entry in members):
        yield "no author"
    for name in ("id", "updated"):  # equal instants are a warning of validators
        counts = Counter(text(entry, name) for entry in members)
        yield from (f"{count} entries with the {name} {value}" for value, count in counts.items() if count > 1)
    if members and text(feed, "updated") != max(text(entry, "updated") for entry in members):
        yield "updated is not that of the newest entry"
    if feed.find(f"{HISTORY}archive") is not None and "current" not in relations:
        yield "an archive does not link the current feed"
    for entry in members:
        if "alternate" not in links(entry) or not text(entry, "summary").strip():
            yield "an entry without content has no alternate link or no summary"
    for element in (feed, *members):
        yield from _element_faults(element)


def _element_faults(element: ET.Element) -> Iterator[str]:
    kind = element.tag.removeprefix(ATOM)
    counts = Counter(child.tag.removeprefix(ATOM) for child in element if not child.tag.startswith(HISTORY))
    for name in counts.keys() | _CHILDREN[kind].keys():
        least, most = _CHILDREN[kind].get(name, (0, 0))
        if not least <= counts[name] <= most:
            yield f"{kind} has {counts[name]} of {name}"
    for child in element:
        name, value = child.tag.removeprefix(ATOM), child.text or ""
        is_sound = True
        if name in {"title", "subtitle", "summary", "rights"}:
            is_sound = child.get("type", "text") == "text" and not len(child) and bool(value.strip())
        elif name == "id":
            is_sound = bool(urlsplit(value).scheme) and value == value.strip()
        elif name in {"updated", "published"}:
            is_sound = INSTANT.fullmatch(value) is not None
        elif name == "author":
            is_sound = bool(text(child, "name").strip())
        elif name == "category":
            is_sound = bool(child.get("term")) and not len(child) and not value
        elif name == "link":
            is_iri = re.fullmatch(r"[^\s<>\"{}|\\^`]*", child.get("href", " ")) is not None
            is_sound = is_iri and bool(MEDIA_TYPE.fullmatch(child.get("type", "a/b"))) and not len(child) and not value
        if not is_sound:
            yield f"the rules of {name} are broken by {ET.tostring(child, 'unicode')}"
    kinds = Counter((link.get("rel", "alternate"), link.get("type")) for link in element.findall(f"{ATOM}link"))
    yield from (f"{count} links of {relation}" for relation, count in kinds.items() if count > 1)
