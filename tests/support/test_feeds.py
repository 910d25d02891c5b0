"""The rules for feeds find what a validator would find."""

import pytest

from tests.support.feeds import faults

ADDRESS = "https://example.org/feed.xml"
SOUND = """\
<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom" xmlns:fh="http://purl.org/syndication/history/1.0" xml:lang="en">
<id>urn:a</id><title>T</title><updated>2024-05-18T00:10:00Z</updated><author><name>N</name></author>
<link rel="self" type="application/atom+xml" href="feed.xml"/><link rel="current" href="feed.xml"/><fh:archive/>
<entry><id>urn:b</id><title>T</title><updated>2024-05-18T00:10:00Z</updated><link href="page"/><summary>S</summary>
</entry>
<entry><id>urn:c</id><title>T</title><updated>2024-05-17T00:10:00Z</updated><link href="page"/><summary>S</summary>
</entry>
</feed>"""


def test_a_sound_feed_has_no_faults() -> None:
    assert faults(SOUND.encode(), ADDRESS) == []


@pytest.mark.parametrize(
    ("sound", "faulty"),
    [
        (' xml:lang="en"', ""),
        ("2005/Atom", "2006/Atom"),
        ("<id>urn:a</id>", ""),
        ("<id>urn:b</id>", "<id>b</id>"),
        ("<id>urn:b</id>", "<id>urn:c</id>"),
        ("<id>urn:b</id>", "<id>urn:b</id><id>urn:d</id>"),
        ("<title>T</title>", "<title> </title>"),
        ("<title>T</title>", '<title type="html">T</title>'),
        ("<author><name>N</name></author>", ""),
        ("<name>N</name>", ""),
        ('href="feed.xml"/><link rel="current"', 'href="other.xml"/><link rel="current"'),
        ('rel="self"', 'rel="other"'),
        ('rel="current"', 'rel="other"'),
        ('type="application/atom+xml"', 'type="atom"'),
        ('href="page"', 'href="a page"'),
        ('<link href="page"/>', ""),
        ('<link href="page"/>', '<link href="page"/><link href="other"/>'),
        ("<summary>S</summary>", ""),
        ("<summary>S</summary>", "<summary>S</summary><summary>S</summary>"),
        ("<summary>S</summary>", "<summary>S</summary><pubDate>now</pubDate>"),
        ("2024-05-17T00:10:00Z", "2024-05-18T00:10:00Z"),
        ("2024-05-17T00:10:00Z", "2024-05-17 00:10:00"),
        ("2024-05-17T00:10:00Z", "2024-05-19T00:10:00Z"),
        ("<fh:archive/>", "<category/>"),
    ],
)
def test_each_violation_is_found(sound: str, faulty: str) -> None:
    assert sound in SOUND
    assert faults(SOUND.replace(sound, faulty).encode(), ADDRESS) != []
