"""Publishing on a real registry: by digest, in order, and so that a failure can be repeated."""

from pathlib import Path

import pytest

from crypto_predict.release.__main__ import main
from tests.engine import registry
from tests.support.registries import Layout, digest_at, failing, needs_skopeo

__all__ = ["registry"]

pytestmark = needs_skopeo
DONE, FAILED, BAD_ARGUMENTS = 0, 1, 2


@pytest.fixture
def staged(registry: str, tmp_path: Path) -> str:
    """An image by digest where it was built."""
    return Layout(tmp_path / "image", b"the model").push(f"{registry}/staging:trial")


def publish(source: str, *tags: str, replacing: str | None = None) -> int:
    to = [word for tag in tags for word in ("--to", tag)]
    expected = ["--replacing", replacing] if replacing else []
    return main(["publish", "--from", source, *to, *expected], {})


def test_every_tag_names_the_very_digest_that_was_tried(registry: str, staged: str) -> None:
    """With each architecture and the attestation of it, or the digest would be another one."""
    tags = [f"{registry}/owner/name:{tag}" for tag in ("0.3.1-20240518121047", "0.3.1", "latest")]
    assert publish(staged, *tags) == DONE
    assert {digest_at(tag) for tag in tags} == {staged.partition("@")[2]}


def test_the_digest_is_an_output_and_the_run_s_page_tells_it(registry: str, staged: str, tmp_path: Path) -> None:
    outputs, page, digest = tmp_path / "outputs", tmp_path / "page", staged.partition("@")[2]
    job = {"GITHUB_OUTPUT": str(outputs), "GITHUB_STEP_SUMMARY": str(page)}
    main(["publish", "--from", staged, "--to", f"{registry}/a/b:c"], job)
    assert outputs.read_text() == f"digest={digest}\n"
    assert page.read_text() == f"**Published**: `{registry}/a/b:c` now names `{digest}`.\n\n"


def test_a_registry_that_fails_half_way_leaves_latest_and_a_repeat_mends_it(
    registry: str, staged: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second of three tags cannot be put: the last one, which everybody pulls, still names the release before."""
    before = Layout(tmp_path / "before", b"the model before").push(f"{registry}/owner/name:latest")
    broken = True

    def fails(method: str, path: str) -> bool:
        return broken and method == "PUT" and path.endswith("/manifests/0.3.1")

    with failing(registry, fails) as proxy:
        tags = [f"{proxy}/owner/name:{tag}" for tag in ("0.3.1-20240518121047", "0.3.1", "latest")]
        assert publish(staged, *tags) == FAILED
        complaint = capsys.readouterr().err
        direct = [tag.replace(proxy, registry) for tag in tags]
        digest = staged.partition("@")[2]
        assert [digest_at(tag) for tag in direct] == [digest, None, before.partition("@")[2]]
        assert f"not in place: {tags[1]}, {tags[2]}; the same call again mends it" in complaint
        broken = False
        assert publish(staged, *tags) == DONE
    assert [digest_at(tag) for tag in direct] == [digest] * 3


def test_what_is_in_place_is_not_pushed_again(registry: str, staged: str) -> None:
    """So a repeat after a failure costs nothing, and cannot fail where it had succeeded."""
    tag = f"{registry}/owner/name:0.3.1"
    assert publish(staged, tag) == DONE
    with failing(registry, lambda method, _: method not in {"GET", "HEAD"}) as read_only:
        assert publish(staged, tag.replace(registry, read_only)) == DONE


def test_a_release_that_another_one_has_overtaken_moves_nothing(
    registry: str, staged: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its ledger follows a release that is not the last one any more: moving on would drop the forecasts between."""
    between = Layout(tmp_path / "between", b"between").push(f"{registry}/owner/name:latest")
    tags = [f"{registry}/owner/name:{tag}" for tag in ("0.3.1", "latest")]
    assert publish(staged, *tags, replacing=f"sha256:{'5' * 64}") == FAILED
    assert publish(staged, *tags, replacing="nothing") == FAILED
    assert "another one has come between" in capsys.readouterr().err
    assert [digest_at(tag) for tag in tags] == [None, between.partition("@")[2]]


def test_a_release_that_follows_the_last_one_moves_latest(registry: str, staged: str, tmp_path: Path) -> None:
    latest = f"{registry}/owner/name:latest"
    assert publish(staged, latest, replacing="nothing") == DONE
    follower = Layout(tmp_path / "next", b"next").push(f"{registry}/staging:next")
    assert publish(follower, latest, replacing=staged.partition("@")[2]) == DONE
    assert publish(follower, latest, replacing=staged.partition("@")[2]) == DONE  # a repeat is no overtaking
    assert digest_at(latest) == follower.partition("@")[2]


def test_a_source_that_is_no_digest_is_refused(registry: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A tag may name another image by the time it is copied."""
    assert publish(f"{registry}/staging:trial", f"{registry}/owner/name:latest") == BAD_ARGUMENTS
    assert "an image by digest" in capsys.readouterr().err


def test_a_registry_that_is_away_is_a_failure_and_no_first_release(
    staged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish(staged, "127.0.0.1:9/owner/name:latest", replacing="nothing") == FAILED
    assert "connection refused" in capsys.readouterr().err
