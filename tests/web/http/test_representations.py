"""Compressed answers, and the header by which a client chooses them."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.web.http.representations import accepted_codings, preferred, represent

BODY = b"the same words again and again, " * 50
TYPE = [("Content-Type", "text/plain")]


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        *((text, True) for text in ("gzip", "GZip", "gzip, deflate, br, zstd", "br;q=1.0, gzip;q=0.8, *;q=0.1", "*")),
        *((text, True) for text in ("deflate, gzip;q=0.001", "*;q=0, gzip", "identity;q=0, gzip", "\xff\x00, gzip")),
        *((text, True) for text in ("identity;q=0.5, gzip;q=0.5", "x, " * 5_000 + "gzip")),
        ("identity;q=0", False),  # nothing else is named, so nothing else is known to be understood
        *((text, False) for text in (None, "", "identity", "br, zstd", "gzip;q=0", "gzip;q=0.000", "gzip;q=0, *")),
        *((text, False) for text in ("*;q=0", "identity, gzip;q=0.5", "gzipped", "gzip;q=nonsense", "gzip;q=-1")),
        *((text, False) for text in ("gzip;q=2", ";,;q=,=", "gzip" * 4_000)),
    ],
)
def test_a_client_gets_gzip_if_it_accepts_it_and_prefers_nothing_else(accepted: str | None, expected: bool) -> None:
    """RFC 9110, section 12.5.3. What cannot be parsed is not accepted: the answer is then readable by everyone."""
    assert ("gzip" in accepted_codings(accepted)) is expected


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        *((text, True) for text in ("gzip, deflate, br, zstd", "br", "BR;q=0.5, gzip;q=0.5")),
        *((text, False) for text in ("br;q=0.4, gzip;q=0.5", "br;q=0.4, identity;q=0.5", "br;q=0, gzip", "gzip")),
        *((text, False) for text in ("*", None, "")),  # who sends * may not know what it accepts
    ],
)
def test_a_client_gets_brotli_if_it_names_it_and_prefers_nothing_else(accepted: str | None, expected: bool) -> None:
    assert ("br" in accepted_codings(accepted)) is expected
    representations = represent(BODY, TYPE, b"compressed elsewhere")
    assert (preferred(representations, accepted).body == b"compressed elsewhere") is expected
    assert (dict(preferred(representations, accepted).headers).get("Content-Encoding") == "br") is expected
    assert len({dict(rendered.headers)["ETag"] for _, rendered in representations}) == 3


def test_brotli_that_is_not_smaller_is_not_sent() -> None:
    assert dict(preferred(represent(BODY, TYPE, BODY), "gzip, br").headers)["Content-Encoding"] == "gzip"


@given(st.text(max_size=300))
def test_any_header_has_an_answer(accepted: str) -> None:
    rendered = preferred(represent(BODY, TYPE), accepted)
    encoded = dict(rendered.headers).get("Content-Encoding") == "gzip"
    assert (gzip.decompress(rendered.body) if encoded else rendered.body) == BODY


@given(st.binary(max_size=2_000))
def test_both_representations_have_the_same_content_and_are_described(body: bytes) -> None:
    """With a tag of its own each: a cache must not join bytes of one to those of the other."""
    representations = represent(body, TYPE)
    plain, small = preferred(representations, None), preferred(representations, "gzip")
    assert plain.body == body
    assert "Content-Encoding" not in dict(plain.headers)
    for rendered in (plain, small):
        headers = dict(rendered.headers)
        assert headers["Content-Length"] == str(len(rendered.body))
        assert headers["Vary"] == "Accept-Encoding"
        assert headers["Content-Type"] == "text/plain"
    if small is not plain:
        assert gzip.decompress(small.body) == body
        assert len(small.body) < len(body)
        assert dict(small.headers)["ETag"] != dict(plain.headers)["ETag"]


def test_the_same_content_has_the_same_tags_and_bytes_in_every_process() -> None:
    """Several servers behind one address must agree; a file format with the time of compression would not."""
    assert represent(BODY, TYPE) == represent(BODY, TYPE)
    assert preferred(represent(BODY, TYPE), "gzip").body[4:8] == bytes(4)  # the time, in the header of gzip
    assert preferred(represent(BODY + b".", TYPE), "gzip").headers != preferred(represent(BODY, TYPE), "gzip").headers


def test_what_does_not_shrink_is_sent_as_it_is() -> None:
    assert "Content-Encoding" not in dict(preferred(represent(b"short", TYPE), "gzip").headers)
