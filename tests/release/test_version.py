"""The version of a commit, on real repositories, and what messages mean for it."""

import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.release.__main__ import BAD_ARGUMENTS, DONE, FAILED, main
from crypto_predict.release.job import one_line
from crypto_predict.release.version import MAJOR, MINOR, MOST_CHANGES, PATCH, Version, raised_by, subject_of, timestamp
from crypto_predict.version import __version__
from tests.support.jobs import read_outputs
from tests.support.repositories import Repository

EPOCH = {"SOURCE_DATE_EPOCH": "1716034247"}  # 2024-05-18 12:10:47 UTC
MAIN = "refs/remotes/origin/main"
ANY_TEXT = st.text(st.characters(exclude_categories=[]))  # bytes of git that are not UTF-8 become surrogates
TYPES = st.sampled_from(["fix", "feat", "docs", "refactor", "Fix", "FEAT", "build-system", "i18n"])
SCOPES = st.just("") | st.text(st.characters(exclude_characters="()\n"), min_size=1).map("({})".format)
DESCRIPTIONS = st.text(st.characters(categories=["L", "N", "P"]), min_size=1)
VERSIONS = st.builds(Version, *[st.integers(0, 999_999_999)] * 3)


def version(repository: Repository, event: str = "push", **environ: str) -> int:
    command = ["version", "--event", event, "--repository", str(repository.folder), "--json"]
    return main(command, {**EPOCH, **environ})


def outputs_of(repository: Repository, event: str = "push") -> dict[str, str]:
    """The outputs of the command, which must succeed."""
    file = repository.folder.parent / "outputs"
    file.write_text("")
    assert version(repository, event, GITHUB_OUTPUT=str(file)) == DONE
    return read_outputs(file)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with a first commit, released as v0.3.0."""
    result = Repository.make(tmp_path / "repository", "feat: the first")
    result.tag("v0.3.0")
    return result


def test_all_outputs_contain_the_same_timestamp(repository: Repository) -> None:
    revision = repository.commit("fix: rounding")
    assert outputs_of(repository) == {
        "version": "0.3.1",
        "tag": "v0.3.1",
        "tagged": "false",
        "build": "0.3.1-20240518121047",
        "epoch": "1716034247",
        "created": "2024-05-18T12:10:47Z",
        "revision": revision,
        "changes": "fix: rounding",
    }


def test_the_default_timestamp_is_the_present_in_whole_seconds_and_a_bad_one_is_named(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """An epoch in the middle of a second would not agree with the build."""
    before, now, after = datetime.now(UTC).replace(microsecond=0), timestamp({}), datetime.now(UTC)
    assert (before <= now <= after, now.microsecond) == (True, 0)
    assert version(repository, SOURCE_DATE_EPOCH="noon") == BAD_ARGUMENTS
    assert "SOURCE_DATE_EPOCH: 'noon'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (["docs: a"], "0.3.1"),
        (["fix: a", "added SOL pair"], "0.3.1"),
        (["fix: a", "feat: b", "fix: c"], "0.4.0"),
        (["feat!: a", "fix: b"], "1.0.0"),
        (["fix: a\n\nBREAKING CHANGE: b"], "1.0.0"),
    ],
)
@pytest.mark.parametrize("event", ["push", "schedule", "workflow_dispatch"])
def test_every_commit_without_a_tag_gets_a_new_version_whatever_started_the_run(
    repository: Repository, messages: list[str], expected: str, event: str
) -> None:
    """The push of a `feat!` may have failed: the next schedule must not ship it as the old version."""
    for message in messages:
        repository.commit(message)
    outputs = outputs_of(repository, event)
    assert (outputs["version"], outputs["tagged"]) == (expected, "false")


def test_a_tagged_commit_keeps_its_highest_tag(repository: Repository) -> None:
    """Even if a later commit has a higher one: `X.Y.Z` names the images of exactly one commit."""
    repository.tag("v0.2.9")
    tagged = repository.head()
    repository.commit("feat: later")
    repository.tag("v0.9.0")
    repository.git("checkout", "--quiet", tagged)
    outputs = outputs_of(repository)
    assert (outputs["tag"], outputs["tagged"], outputs["changes"]) == ("v0.3.0", "true", "")


def test_a_commit_that_a_newer_release_contains_is_refused(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    """As when an old run starts late, or again."""
    between = repository.commit("feat: in the middle")
    repository.tag("v0.4.0", repository.commit("fix: later"))
    repository.git("update-ref", MAIN, "HEAD")
    repository.git("checkout", "--quiet", between)
    assert version(repository) == FAILED
    assert f"{between} was released as part of v0.4.0: run the release of what main is now" in capsys.readouterr().err


def test_main_that_was_reset_to_an_older_commit_is_released_as_a_new_version(repository: Repository) -> None:
    between = repository.commit("feat: in the middle")
    repository.tag("v0.4.0", repository.commit("fix: regretted"))
    repository.git("update-ref", MAIN, between)
    repository.git("checkout", "--quiet", between)
    outputs = outputs_of(repository)
    assert (outputs["version"], outputs["tagged"], outputs["changes"]) == ("0.4.1", "false", "")


def test_a_repository_without_versions_begins_with_the_programs_own(tmp_path: Path) -> None:
    outputs = outputs_of(Repository.make(tmp_path / "new", "feat: everything", "fix: nothing"))
    assert (outputs["version"], outputs["tagged"]) == (__version__, "false")
    assert outputs["changes"] == "fix: nothing\nfeat: everything"


def test_versions_are_compared_as_numbers_and_annotated_tags_count(repository: Repository) -> None:
    repository.tag("v0.10.0", annotated=True)
    repository.tag("v0.10.1", "v0.10.0", annotated=True)
    repository.tag("v0.9.9")
    assert outputs_of(repository)["version"] == "0.10.1"
    repository.commit("fix: a")
    assert outputs_of(repository)["version"] == "0.10.2"


def test_tags_that_are_not_versions_are_ignored_and_named_in_one_line(
    repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["V9.9.9", "v1", "v1.2", "v01.2.3", "1.2.3", "v1.2.3-rc1", "v1.2.3.4", "v३.२.१", "v9999999999.0.0"]
    for name in (*names, *(f"nightly-{number}" for number in range(50))):
        repository.tag(name)
    repository.commit("fix: a")
    with caplog.at_level(logging.INFO):
        assert outputs_of(repository)["version"] == "0.3.1"
    (ignored,) = (record.getMessage() for record in caplog.records if "ignored" in record.getMessage())
    assert ("V9.9.9" in ignored, ignored[-3:], len(ignored) < 600) == (True, "...", True)


def test_a_version_that_tags_something_other_than_a_commit_is_skipped(repository: Repository, tmp_path: Path) -> None:
    """Every run would fail to push the tag."""
    new = Repository.make(tmp_path / "new", "feat: first")
    for place, tag in ((repository, "v0.3.1"), (repository, "v7.0.0"), (new, f"v{__version__}")):
        place.tag(tag, place.git("hash-object", "-w", "--stdin", given=b"a file"))
    repository.commit("fix: a")
    assert outputs_of(repository)["version"] == "0.3.2"
    major, minor, patch = __version__.split(".")
    assert outputs_of(new)["version"] == f"{major}.{minor}.{int(patch) + 1}"


def test_a_version_of_a_rewritten_history_is_not_used_twice(repository: Repository) -> None:
    repository.commit("feat: regretted")
    repository.tag("v0.4.0")
    repository.git("commit", "--amend", "--quiet", "--allow-empty", "-m", "feat: put better")
    outputs = outputs_of(repository)
    assert (outputs["version"], outputs["changes"]) == ("0.5.0", "feat: put better")
    repository.orphan("anew")
    repository.commit("fix: everything")
    outputs = outputs_of(repository)
    assert (outputs["version"], outputs["changes"]) == ("0.4.1", "fix: everything")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("nothing", "not a git repository"), ("empty", "unknown revision"), ("shallow", "fetch-depth: 0")],
)
def test_without_commits_and_tags_there_is_no_version(
    repository: Repository, capsys: pytest.CaptureFixture[str], name: str, reason: str
) -> None:
    """In a shallow clone every version would be the first."""
    folder = repository.folder.parent
    (folder / "nothing").mkdir()
    Repository.make(folder / "empty")
    repository.commit("fix: a")
    repository.clone(folder / "shallow", "--depth=1")
    assert version(Repository(folder / name)) == FAILED
    assert reason in capsys.readouterr().err


def test_a_hostile_message_becomes_one_harmless_line(repository: Repository) -> None:
    escapes, commands = "feat: \x1b[2Jwipe\x07 \u202egnirts", "version=9.9.9\nversion<<X\n9.9.9\nX\n"
    hostile: list[str | bytes] = [
        escapes,
        commands,
        b"docs: not UTF-8 \xff\xfe\xe9",
        "x" * 1_000_000,
        "",
        "$(touch /tmp/x) `id`",
    ]
    for message in hostile:
        repository.commit(message)
    outputs = outputs_of(repository)
    changes = outputs["changes"].split("\n")
    assert (outputs["version"], len(changes)) == ("0.4.0", len(hostile))
    assert all(line.isprintable() and len(line) < 210 for line in changes)


def test_unusual_messages_are_read_as_one_message_each(repository: Repository, tmp_path: Path) -> None:
    """A zero byte does not split a message, other encodings are read, and a signature check is not part of it."""
    repository.put(b"fix: a\0feat!: b\n")
    repository.git("config", "i18n.commitEncoding", "ISO-8859-1")
    repository.git("config", "i18n.logOutputEncoding", "ISO-8859-1")
    repository.commit("fix: größer".encode("latin-1"))
    verdict = tmp_path / "verdict"
    verdict.write_text("#!/bin/sh\necho 'feat!: good signature' >&2\n")
    verdict.chmod(0o755)
    repository.git("config", "gpg.program", str(verdict))
    for name, value in {"log.showSignature": "true", "color.ui": "always", "format.pretty": "fuller"}.items():
        repository.git("config", name, value)
    repository.put(b"fix: c", "gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n")
    assert "good signature" in repository.git("log", "-1")
    outputs = outputs_of(repository)
    assert (outputs["version"], outputs["changes"]) == ("0.3.1", "fix: c\nfix: größer\nfix: a")


def test_a_long_list_of_changes_is_shortened_with_a_note(repository: Repository) -> None:
    for number in range(MOST_CHANGES):
        repository.commit(f"fix: {number}")
    whole = outputs_of(repository)["changes"].split("\n")
    repository.commit("fix: one more")
    cut = outputs_of(repository)["changes"].split("\n")
    assert whole == [f"fix: {number}" for number in reversed(range(MOST_CHANGES))]
    assert cut == ["fix: one more", *whole[: MOST_CHANGES - 2], "... and 2 commits more"]


@given(version=VERSIONS, place=st.sampled_from([MAJOR, MINOR, PATCH]), name=st.text())
def test_a_raised_version_is_higher_and_only_its_own_name_is_read_as_a_version(
    version: Version, place: int, name: str
) -> None:
    assert version.raised(place) > version
    assert Version.from_tag(f"v{version}") == version
    assert Version.from_tag(name) is None


MESSAGES = {
    PATCH: [
        "fix: rounding",
        "docs: spelling",
        "added SOL pair",
        "",
        "revert: feat: a page",
        'Revert "feat!: a new answer"',
        "Merge branch 'feat: x'",
        "feat : a page",
        "feat: ",
        "a feat: a page",
        # Prose about breaking changes is not a footer.
        "fix: rounding\n\nbreaking change: only capitals count",
        "fix: rounding\n\nBREAKING CHANGES: not a token of the specification",
        "fix: rounding\n\nSee the rules about\nBREAKING CHANGE: inside a paragraph of prose",
        "fix: rounding\n\n  BREAKING CHANGE: indented, as a quotation is",
        "fix: rounding\n\nNON-BREAKING CHANGE: quite the contrary",
    ],
    MINOR: [
        "feat(web, api):  two spaces",
        "\n\nfeat: below empty lines\n",
    ],
    MAJOR: [
        "docs(api)!: the old address is gone",
        "fix: rounding\n\nBREAKING CHANGE: two digits only",
        "fix: rounding\n\nBREAKING-CHANGE: two digits only",
        "docs: rounding\n\nWhy.\n\nReviewed-by: Somebody\nBREAKING CHANGE: two digits only\nRefs #3",
        "docs: rounding\r\n\r\nBREAKING CHANGE: two digits only\r\n",
        "without a type\n\nBREAKING CHANGE: two digits only",
        "fix: rounding\n\nBREAKING CHANGE:\nit is a long story",
        "fix: rounding\nBREAKING CHANGE: without an empty line before it",
        "BREAKING CHANGE: two digits only",
    ],
}


@pytest.mark.parametrize(("message", "place"), [(text, place) for place, texts in MESSAGES.items() for text in texts])
def test_header_and_footers_determine_the_version_and_every_commit_raises_it(message: str, place: int) -> None:
    assert raised_by([message]) == place


@given(kind=TYPES, scope=SCOPES, breaking=st.booleans(), description=DESCRIPTIONS)
def test_every_header_of_the_specification_is_read(kind: str, scope: str, *, breaking: bool, description: str) -> None:
    expected = MAJOR if breaking else MINOR if kind.lower() == "feat" else PATCH
    assert raised_by([f"{kind}{scope}{'!' if breaking else ''}: {description}"]) == expected


@given(messages=st.lists(ANY_TEXT), more=ANY_TEXT)
def test_the_greatest_change_decides_in_any_order(messages: list[str], more: str) -> None:
    """Any text can be read as a message."""
    assert raised_by([*messages, more]) == min(raised_by(messages), raised_by([more]))
    assert raised_by([more, *messages]) == raised_by([*messages, more])


def test_a_message_is_read_in_linear_time() -> None:
    """A pattern that backtracks would exceed the time limit of a test."""
    for letters in ("a" * 5_000_000, "feat(" * 1_000_000, " " * 5_000_000 + ":", "\n" * 5_000_000, "a-" * 2_500_000):
        assert raised_by([letters, f"x\n\n{letters}"]) == PATCH
        assert len(subject_of(letters)) <= 210


@given(text=ANY_TEXT | st.lists(st.sampled_from(["#", "##[", "x"])).map("".join), most=st.integers(1, 50))
def test_text_from_outside_becomes_one_printable_line_without_a_command(text: str, most: int) -> None:
    """A runner executes `##[command]` at any position of a line."""
    line = one_line(text, most)
    assert (line.isprintable(), "##[" in line) == (True, False)
    assert len(line) <= most + most // 3 + len("...")  # one more letter for each command that is broken up


def test_a_subject_is_the_first_line_and_keeps_its_letters() -> None:
    assert subject_of("\nfeat: Ünïcode, 漢字 and 🚀 (#12)\r\n\nand why\n") == "feat: Ünïcode, 漢字 and 🚀 (#12)"
    assert subject_of("fix: \x1b[31mred\x07 \u202egnorw\u2028x") == "fix:  [31mred   gnorw x"
