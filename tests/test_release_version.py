import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.release.__main__ import BAD_ARGUMENTS, DONE, FAILED, main
from crypto_predict.release.commits import Bump
from crypto_predict.release.version import EVENTS, MOST_CHANGES, Version, timestamp
from crypto_predict.version import __version__
from tests.support.repositories import Repository

EPOCH = {"SOURCE_DATE_EPOCH": "1716034247"}  # 2024-05-18 12:10:47 UTC
VERSIONS = st.builds(Version, *[st.integers(0, 999_999_999)] * 3)

Tell = Callable[..., dict[str, str]]


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    """The command, which must succeed; gives its outputs."""

    def run(repository: Repository, event: str = "push") -> dict[str, str]:
        capsys.readouterr()
        assert main(["version", "--event", event, "--repository", str(repository.folder), "--json"], EPOCH) == DONE
        outputs: dict[str, str] = json.loads(capsys.readouterr().out)
        return outputs

    return run


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with a first commit, released as v0.3.0."""
    made = Repository.make(tmp_path / "repository", "feat: the first")
    made.tag("v0.3.0")
    return made


def test_one_timestamp_is_in_everything_that_is_handed_on(repository: Repository, tell: Tell) -> None:
    revision = repository.commit("fix: rounding")
    assert tell(repository) == {
        "version": "0.3.1",
        "tag": "v0.3.1",
        "tagged": "false",
        "build": "0.3.1-20240518121047",
        "epoch": "1716034247",
        "created": "2024-05-18T12:10:47Z",
        "revision": revision,
        "changes": "fix: rounding",
    }


def test_the_timestamp_is_the_clock_where_none_is_given() -> None:
    """In whole seconds: an epoch in the middle of one would not agree with the build."""
    assert timestamp({}, clock=lambda: 1716034247.9) == datetime(2024, 5, 18, 12, 10, 47, tzinfo=UTC)
    assert timestamp(EPOCH, clock=lambda: 0.0) == datetime(2024, 5, 18, 12, 10, 47, tzinfo=UTC)


def test_a_timestamp_that_is_none_is_named(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["version", "--event", "push", "--repository", str(repository.folder)]
    assert main(arguments, {"SOURCE_DATE_EPOCH": "noon"}) == BAD_ARGUMENTS
    assert "SOURCE_DATE_EPOCH: 'noon'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("messages", "version"),
    [
        (["docs: a", "fix: b", "chore: c"], "0.3.1"),
        (["fix: a", "feat: b", "fix: c"], "0.4.0"),
        (["feat!: a", "fix: b"], "1.0.0"),
        (["fix: a\n\nBREAKING CHANGE: b"], "1.0.0"),
        (["docs: a", "whatever"], "0.3.0"),
    ],
)
@pytest.mark.parametrize("event", ["push", "workflow_dispatch"])
def test_commits_since_the_highest_tag_decide(
    repository: Repository, tell: Tell, messages: list[str], version: str, event: str
) -> None:
    for message in messages:
        repository.commit(message)
    outputs = tell(repository, event)
    assert outputs["version"] == version
    assert outputs["tagged"] == str(version == "0.3.0").lower()


def test_a_schedule_never_raises_the_version(repository: Repository, tell: Tell) -> None:
    repository.commit("feat!: everything new")
    outputs = tell(repository, "schedule")
    assert (outputs["version"], outputs["tagged"]) == ("0.3.0", "true")
    assert outputs["build"] == "0.3.0-20240518121047"


@pytest.mark.parametrize("event", EVENTS)
def test_a_tagged_commit_keeps_its_highest_tag(repository: Repository, tell: Tell, event: str) -> None:
    """Although a higher one exists elsewhere: the commit was released as what it was."""
    repository.tag("v0.2.9")
    tagged = repository.head()
    repository.commit("feat: later")
    repository.tag("v0.9.0")
    repository.git("checkout", "--quiet", tagged)
    assert tell(repository, event)["tag"] == "v0.3.0"


@pytest.mark.parametrize("event", EVENTS)
def test_a_commit_between_two_releases_keeps_the_newer_version(repository: Repository, tell: Tell, event: str) -> None:
    """A workflow that was slow to start, or is started anew: there is nothing in it that was not released."""
    between = repository.commit("feat: in the middle")
    repository.commit("fix: later")
    repository.tag("v0.4.0")
    repository.git("checkout", "--quiet", between)
    outputs = tell(repository, event)
    assert (outputs["version"], outputs["tagged"], outputs["changes"]) == ("0.4.0", "true", "")


@pytest.mark.parametrize("event", EVENTS)
def test_a_repository_without_versions_begins_with_the_programs_own(tmp_path: Path, tell: Tell, event: str) -> None:
    outputs = tell(Repository.make(tmp_path / "new", "feat: everything", "fix: nothing"), event)
    assert (outputs["version"], outputs["tagged"]) == (__version__, "false")
    assert outputs["changes"] == "fix: nothing\nfeat: everything"


def test_annotated_tags_count_and_so_do_tags_of_tags(repository: Repository, tell: Tell) -> None:
    repository.commit("fix: a")
    repository.tag("v0.3.1", annotated=True)
    assert tell(repository)["version"] == "0.3.1"
    repository.tag("v0.3.2", "v0.3.1", annotated=True)
    assert tell(repository)["version"] == "0.3.2"
    repository.commit("fix: b")
    assert tell(repository)["version"] == "0.3.3"


def test_versions_are_compared_as_numbers(repository: Repository, tell: Tell) -> None:
    repository.tag("v0.10.0")
    repository.commit("fix: a")
    assert tell(repository)["version"] == "0.10.1"


def test_tags_by_hand_that_are_no_version_are_ignored_and_named(
    repository: Repository, tell: Tell, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["v1", "v1.2", "v01.2.3", "1.2.3", "v1.2.3-rc1", "v1.2.3.4", "release-x", "V9.9.9", "v३.२.१", "x/v9.9.9"]
    for name in names:
        repository.tag(name)
    repository.commit("fix: a")
    with caplog.at_level(logging.INFO):
        assert tell(repository)["version"] == "0.3.1"
    assert all(name in caplog.text for name in names)


def test_tags_that_are_no_version_do_not_fill_the_log(
    repository: Repository, tell: Tell, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(50):
        repository.tag(f"nightly-{number}")
    with caplog.at_level(logging.INFO):
        tell(repository)
    assert "and 40 more" in caplog.text


def test_a_version_tag_of_a_file_is_no_release(
    repository: Repository, tell: Tell, caplog: pytest.LogCaptureFixture
) -> None:
    repository.tag("v7.0.0", repository.git("hash-object", "-w", "--stdin", given=b"a file"))
    repository.commit("fix: a")
    with caplog.at_level(logging.INFO):
        assert tell(repository)["version"] == "0.3.1"
    assert "v7.0.0" in caplog.text


def test_a_version_that_a_rewritten_history_left_behind_is_not_given_twice(repository: Repository, tell: Tell) -> None:
    repository.commit("feat: regretted")
    repository.tag("v0.4.0")
    repository.git("commit", "--amend", "--quiet", "--allow-empty", "-m", "feat: put better")
    outputs = tell(repository)
    assert (outputs["version"], outputs["changes"]) == ("0.5.0", "feat: put better")


def test_a_history_that_was_begun_anew_goes_on_counting(repository: Repository, tell: Tell) -> None:
    repository.orphan("anew")
    repository.commit("fix: everything")
    outputs = tell(repository)
    assert (outputs["version"], outputs["changes"]) == ("0.3.1", "fix: everything")


def test_both_sides_of_a_merge_count(repository: Repository, tell: Tell) -> None:
    begin = repository.head()
    repository.commit("fix: on main")
    repository.branch("topic", begin)
    repository.commit("feat: aside")
    repository.git("checkout", "--quiet", "main")
    repository.git("merge", "--quiet", "--no-ff", "-m", "Merge branch 'topic'", "topic")
    assert tell(repository)["version"] == "0.4.0"


def test_a_shallow_clone_is_refused_with_the_remedy(
    repository: Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It lacks what decides: every version would be the first one again."""
    repository.commit("fix: a")
    shallow = repository.clone(tmp_path / "shallow", "--depth=1")
    assert main(["version", "--event", "push", "--repository", str(shallow.folder)], EPOCH) == FAILED
    assert "fetch-depth: 0" in capsys.readouterr().err


@pytest.mark.parametrize("options", [(), ("--bare",), ("--filter=tree:0",)])
def test_any_whole_clone_tells_the_same(
    repository: Repository, tmp_path: Path, tell: Tell, options: tuple[str, ...]
) -> None:
    repository.git("config", "uploadpack.allowFilter", "true")
    repository.commit("feat: a")
    assert tell(repository.clone(tmp_path / "whole", *options)) == tell(repository)


def test_any_folder_of_the_checkout_will_do(repository: Repository, tell: Tell) -> None:
    folder = repository.folder / "below"
    folder.mkdir()
    assert tell(Repository(folder)) == tell(repository)


@pytest.mark.parametrize(
    ("name", "reason"), [("nothing", "not a git repository"), ("absent", "absent"), ("empty", "no commit")]
)
def test_where_there_is_nothing_to_release_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, reason: str
) -> None:
    (tmp_path / "nothing").mkdir()
    Repository.make(tmp_path / "empty")
    assert main(["version", "--event", "push", "--repository", str(tmp_path / name)], EPOCH) == FAILED
    assert reason in capsys.readouterr().err


def test_without_git_that_is_said(repository: Repository, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "crypto_predict.release", "version", "--event", "push"]
    surroundings = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == FAILED
    assert "git is needed and not installed" in done.stderr
    assert repository.folder.exists()


HOSTILE = [
    b"::set-output name=version::9.9.9",
    b"feat: \x1b[2Jwipe the screen\x07",
    "fix: \u202egnirts desrever".encode(),
    b"version=9.9.9\nversion<<X\n9.9.9\nX\n",
    b"docs: not UTF-8 \xff\xfe\xe9",
    b"x" * 1_000_000,
    b"\n\n\n",
    b"",
    b"##[add-mask]0",
    b"$(touch /tmp/x) `id` ${{ secrets.X }}",
    b"commit 0123456789abcdef0123456789abcdef01234567\nAuthor: feat!: me <x@example.org>\n\n    feat!: no",
]


def test_a_hostile_message_is_a_message_and_nothing_else(repository: Repository, tmp_path: Path) -> None:
    """What is handed on is read back as the runner reads it."""
    for message in HOSTILE:
        repository.commit(message)
    file = tmp_path / "output"
    environ = {**EPOCH, "GITHUB_OUTPUT": str(file)}
    assert main(["version", "--event", "push", "--repository", str(repository.folder)], environ) == DONE
    outputs = as_the_runner_reads(file)
    assert outputs["version"] == "0.4.0"
    changes = outputs["changes"].split("\n")
    assert len(changes) == len(HOSTILE)
    assert all(line.isprintable() and len(line) < 210 for line in changes)
    assert changes[-1] == "::set-output name=version::9.9.9"  # a line of an output's value is obeyed by nobody


def as_the_runner_reads(file: Path) -> dict[str, str]:
    """The outputs in a file, of one line or of several between marks."""
    outputs: dict[str, str] = {}
    lines = iter(file.read_text(encoding="utf-8").split("\n"))
    for line in lines:
        name, marked, mark = line.partition("<<")
        if marked and "=" not in name:
            outputs[name] = "\n".join(iter(lambda: next(lines), mark))
        elif line:
            name, _, value = line.partition("=")
            outputs[name] = value
    return outputs


def test_a_message_with_a_zero_byte_does_not_become_two(repository: Repository, tell: Tell) -> None:
    """Git makes none, but whoever writes objects by hand can."""
    repository.put(b"fix: a\0feat!: b\n")
    outputs = tell(repository)
    assert (outputs["version"], outputs["changes"]) == ("0.3.1", "fix: a")


def test_a_message_in_another_encoding_is_read(repository: Repository, tell: Tell) -> None:
    repository.git("config", "i18n.commitEncoding", "ISO-8859-1")
    repository.git("config", "i18n.logOutputEncoding", "ISO-8859-1")
    repository.commit("fix: größer".encode("latin-1"))
    assert tell(repository)["changes"] == "fix: größer"


def test_what_is_said_of_a_signature_is_no_message(repository: Repository, tmp_path: Path, tell: Tell) -> None:
    """Whoever has git show signatures sees the verdict before the message, in the same place."""
    verdict = tmp_path / "verdict"
    verdict.write_text("#!/bin/sh\necho 'feat!: good signature' >&2\n", encoding="ascii")
    verdict.chmod(0o755)
    repository.git("config", "gpg.program", str(verdict))
    repository.git("config", "log.showSignature", "true")
    signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n"
    repository.put(b"fix: a", signature)
    assert "good signature" in repository.git("log", "-1")
    assert tell(repository)["changes"] == "fix: a"


def test_settings_of_git_change_nothing(repository: Repository, tell: Tell) -> None:
    repository.commit("fix: a")
    expected = tell(repository)
    settings = {
        "color.ui": "always",
        "log.decorate": "full",
        "log.date": "relative",
        "format.pretty": "fuller",
        "core.quotePath": "false",
        "tag.sort": "-version:refname",
        "log.showRoot": "true",
        "log.diffMerges": "separate",
    }
    for name, value in settings.items():
        repository.git("config", name, value)
    repository.git("notes", "add", "-m", "feat!: a note")
    assert tell(repository) == expected


def test_a_long_list_of_changes_is_cut_and_says_so(repository: Repository, tell: Tell) -> None:
    for number in range(MOST_CHANGES):
        repository.commit(f"fix: {number}")
    whole = tell(repository)["changes"].split("\n")
    repository.commit("fix: one more")
    cut = tell(repository)["changes"].split("\n")
    assert whole == [f"fix: {number}" for number in reversed(range(MOST_CHANGES))]
    assert cut == ["fix: one more", *whole[: MOST_CHANGES - 2], "... and 2 commits more"]


def test_an_event_that_no_workflow_of_ours_has_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["version", "--event", "pull_request"], {})
    assert ended.value.code == BAD_ARGUMENTS
    assert "pull_request" in capsys.readouterr().err


@given(version=VERSIONS)
def test_a_version_is_read_back_from_its_tag(version: Version) -> None:
    assert Version.from_tag(version.tag) == version


@given(versions=st.lists(VERSIONS, min_size=2))
def test_the_order_of_versions_is_that_of_their_numbers(versions: list[Version]) -> None:
    for lower, higher in pairwise(sorted(versions)):
        assert (lower.major, lower.minor, lower.patch) <= (higher.major, higher.minor, higher.patch)


@given(version=VERSIONS, bump=st.sampled_from(Bump))
def test_a_raised_version_is_higher_and_only_then(version: Version, bump: Bump) -> None:
    assert (version.raised(bump) > version) is (bump is not Bump.NONE)


@given(name=st.text())
def test_no_name_breaks_the_reading_of_tags(name: str) -> None:
    version = Version.from_tag(name)
    assert version is None or version.tag == name


@pytest.mark.parametrize("name", ["v9999999999.0.0", "v0.0.1\n", "v1.2.3 ", "v+1.2.3", "v1_0.2.3", "v-1.0.0"])
def test_numbers_that_are_none_are_no_version(name: str) -> None:
    assert Version.from_tag(name) is None
