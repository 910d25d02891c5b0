"""The rules of Atom (RFC 4287), of its archives (RFC 5005) and of feed validators, checked on a parsed document."""

import re
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree as ET

ATOM, HISTORY = "{http://www.w3.org/2005/Atom}", "{http://purl.org/syndication/history/1.0}"
XML = "{http://www.w3.org/XML/1998/namespace}"
# The elements that a parent must have once, and those that it may have once or often (RFC 4287, section 4.1).
ONCE = {"feed": {"id", "title", "updated"}, "entry": {"id", "title", "updated"}}
AT_MOST_ONCE = {
    "feed": {"generator", "icon", "logo", "rights", "subtitle"},
    "entry": {"content", "published", "rights", "source", "summary"},
}
OFTEN = {
    "feed": {"author", "category", "contributor", "link", "entry"},
    "entry": {"author", "category", "contributor", "link"},
}
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")  # RFC 3339
MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+")


def parse(data: bytes) -> ET.Element:
    """Return the root of a feed."""
    return ET.fromstring(data)


def entries(data: bytes) -> list[ET.Element]:
    """Return the entries of a feed."""
    return parse(data).findall(f"{ATOM}entry")


def text(element: ET.Element, name: str) -> str:
    """Return the text of a child."""
    return element.findtext(f"{ATOM}{name}") or ""


def links(element: ET.Element) -> dict[str, str]:
    """Return the links of a feed or an entry by their relations."""
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
    yield from _element_faults(feed)
    if "self" not in links(feed) or urljoin(address, links(feed)["self"]) != address:
        yield f"self is {links(feed).get('self')}, not {address}"
    held = feed.findall(f"{ATOM}entry")
    if feed.find(f"{ATOM}author") is None and any(one.find(f"{ATOM}author") is None for one in held):
        yield "no author"
    for name in ("id", "updated"):  # equal instants are a warning of validators
        counts = Counter(text(one, name) for one in held)
        yield from (f"{count} entries with the {name} {value}" for value, count in counts.items() if count > 1)
    if held and text(feed, "updated") != max(text(one, "updated") for one in held):
        yield "updated is not that of the newest entry"
    for element in held:
        yield from _element_faults(element)
        if "alternate" not in links(element):
            yield "an entry without content has no alternate link"
        if not text(element, "summary").strip():
            yield "an entry without content has no summary"
    relations = links(feed)
    if feed.find(f"{HISTORY}archive") is not None and "current" not in relations:
        yield "an archive does not link the current feed"


def _element_faults(element: ET.Element) -> Iterator[str]:
    yield from _children_faults(element)
    yield from _text_faults(element)
    yield from _link_faults(element)


def _children_faults(element: ET.Element) -> Iterator[str]:
    kind = element.tag.removeprefix(ATOM)
    counts = Counter(child.tag for child in element)
    for name in ONCE[kind]:
        if counts[ATOM + name] != 1:
            yield f"{kind} has {counts[ATOM + name]} of {name}"
    for tag, count in counts.items():
        name = tag.removeprefix(ATOM)
        if not tag.startswith(HISTORY) and name not in ONCE[kind] | AT_MOST_ONCE[kind] | OFTEN[kind]:
            yield f"{kind} has an unknown {tag}"
        if name in AT_MOST_ONCE[kind] and count > 1:
            yield f"{kind} has {count} of {name}"


def _text_faults(element: ET.Element) -> Iterator[str]:
    for child in element:
        name, value = child.tag.removeprefix(ATOM), child.text or ""
        if name in {"title", "subtitle", "summary", "rights"}:
            if child.get("type", "text") != "text" or len(child):
                yield f"{name} is not plain text"
            if not value.strip():
                yield f"{name} is empty"
        if name == "id" and (not urlsplit(value).scheme or value != value.strip()):
            yield f"id {value} is not absolute"
        if name in {"updated", "published"} and not INSTANT.fullmatch(value):
            yield f"{name} {value} is not an instant of RFC 3339"
        if name == "author" and not text(child, "name").strip():
            yield "an author has no name"


def _link_faults(element: ET.Element) -> Iterator[str]:
    result = element.findall(f"{ATOM}link")
    for child in [*result, *element.findall(f"{ATOM}category")]:
        if len(child) or child.text:
            yield f"{child.tag} is not empty"
    for child in element.findall(f"{ATOM}category"):
        if not child.get("term"):
            yield "a category has no term"
    for link in result:
        href = link.get("href")
        if href is None or re.search(r"[\s<>\"{}|\\^`]", href):
            yield f"the address {href} is not an IRI"
        if not MEDIA_TYPE.fullmatch(link.get("type", "a/b")):
            yield f"{link.get('type')} is not a media type"
    for relation, count in Counter((link.get("rel", "alternate"), link.get("type")) for link in result).items():
        if count > 1:
            yield f"{count} links of {relation}"
