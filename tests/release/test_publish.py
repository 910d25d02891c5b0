"""Publishing on a real registry: by digest, in order, and repeatable after a failure."""

from collections import Counter
from pathlib import Path

import pytest

from crypto_predict.release.__main__ import DONE, FAILED, main
from tests.support.engine import registry
from tests.support.indexes import Layout
from tests.support.registries import digest_at, failing, needs_skopeo

__all__ = ["registry"]

pytestmark = [pytest.mark.engine, needs_skopeo]
IMAGE = "owner/name"
TAGS = ("0.3.1-20240518121047", "0.3.1", "latest")


@pytest.fixture
def digest(registry: str, tmp_path: Path) -> str:
    """An index of two architectures in the registry, with attestations; its digest."""
    return push(registry, tmp_path, "trial")


def push(registry: str, folder: Path, tag: str) -> str:
    """Push another index to a tag; return its digest."""
    return Layout.make(folder / tag, tag.encode()).push(f"{registry}/{IMAGE}:{tag}").partition("@")[2]


def publish(registry: str, digest: str, *tags: str, replacing: str = "nothing", image: str = IMAGE, **job: str) -> int:
    to = [word for tag in tags for word in ("--to", f"{registry}/{image}:{tag}")]
    return main(["publish", "--from", f"{registry}/{image}@{digest}", *to, "--replacing", replacing], job)


def digests(registry: str, *tags: str) -> list[str | None]:
    return [digest_at(f"{registry}/{IMAGE}:{tag}") for tag in tags]


def test_the_tags_are_put_on_the_digest_one_after_the_other(registry: str, digest: str, tmp_path: Path) -> None:
    """Every architecture and attestation is included, otherwise the digest would differ."""
    put, page = [], tmp_path / "page"

    def watch(method: str, path: str) -> bool:
        put.extend([path.rpartition("/")[2]] if method == "PUT" else [])
        return False

    with failing(registry, watch) as proxy:
        assert publish(proxy, digest, *TAGS, GITHUB_STEP_SUMMARY=str(page)) == DONE
        assert f"**Published** `{digest}` as `{proxy}/{IMAGE}:0.3.1-" in page.read_text()
    assert [tag for tag in put if tag in TAGS] == list(TAGS)
    assert digests(registry, *TAGS) == [digest] * 3


def test_a_registry_that_fails_half_way_leaves_latest_and_a_second_run_completes_the_tags(
    registry: str, digest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, broken = push(registry, tmp_path, "latest"), True

    def fails(method: str, path: str) -> bool:
        return broken and method == "PUT" and path.endswith("/manifests/0.3.1")

    with failing(registry, fails) as proxy:
        assert publish(proxy, digest, *TAGS, replacing=before) == FAILED
        assert digests(registry, *TAGS) == [digest, None, before]
        left = f"{proxy}/{IMAGE}:0.3.1, {proxy}/{IMAGE}:latest"
        assert f"not in place: {left}; run the failed jobs again" in capsys.readouterr().err
        broken = False
        assert publish(proxy, digest, *TAGS, replacing=before) == DONE
    assert digests(registry, *TAGS) == [digest] * 3


def test_a_tag_that_is_in_place_is_not_pushed_again(registry: str, digest: str) -> None:
    """A second run only has to put the missing tags, and does not count as another release."""
    assert publish(registry, digest, "0.3.1", "latest") == DONE
    with failing(registry, lambda method, _: method not in {"GET", "HEAD"}) as read_only:
        assert publish(read_only, digest, "0.3.1", "latest", replacing=f"sha256:{'5' * 64}") == DONE


@pytest.mark.parametrize("replacing", ["nothing", f"sha256:{'5' * 64}"])
def test_a_release_that_was_overtaken_moves_no_tag(
    registry: str, digest: str, replacing: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its ledger lacks the forecasts of the other release."""
    between = push(registry, tmp_path, "latest")
    assert publish(registry, digest, "0.3.1", "latest", replacing=replacing) == FAILED
    assert "another release has come between" in capsys.readouterr().err
    assert digests(registry, "0.3.1", "latest") == [None, between]


def test_a_release_moves_latest_from_the_one_that_it_follows(registry: str, digest: str, tmp_path: Path) -> None:
    """With `anything`, as after *begin anew* with a failing registry, it moves `latest` from any release."""
    assert publish(registry, digest, "latest") == DONE
    for tag, replacing in (("second", digest), ("third", "anything")):
        follower = push(registry, tmp_path, tag)
        assert publish(registry, follower, "latest", replacing=replacing) == DONE
        assert digests(registry, "latest") == [follower]


def test_a_registry_may_show_a_push_only_after_some_seconds(registry: str, digest: str, tmp_path: Path) -> None:
    """GHCR may answer with the old digest until then. The command makes two requests each time."""
    before, reads = push(registry, tmp_path, "latest"), Counter[str]()

    def stale(method: str, path: str) -> str | bool:
        reads[method] += method == "HEAD" and digests(registry, "latest") == [digest]
        return path.replace("latest", before) if 0 < reads["HEAD"] <= 2 and method == "HEAD" else False

    with failing(registry, stale, "latest") as slow:
        assert publish(slow, digest, "latest", replacing=before) == DONE
    assert reads["HEAD"] > 2


@pytest.mark.parametrize("image", [IMAGE, "owner/404", "owner/denied"])
def test_a_registry_that_fails_is_not_taken_for_a_first_release(registry: str, digest: str, image: str) -> None:
    """The message contains the name of the image, which may look like an error."""
    with failing(registry, lambda method, _: method != "PUT") as broken:
        assert publish(broken, digest, "latest", image=image) == FAILED
    assert digests(registry, "latest") == [None]
    assert publish("127.0.0.1:9", digest, "latest", image=image) == FAILED
