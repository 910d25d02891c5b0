import pytest
from crypto_predict.release.foreign import one_line
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.release.commits import Bump, bump_of, subject_of

ANY_TEXT = st.text(st.characters(exclude_categories=[]))  # what Python holds where git sent bytes that are no UTF-8
TYPES = st.sampled_from(["fix", "feat", "docs", "refactor", "Fix", "FEAT", "build-system", "i18n"])
SCOPES = st.one_of(
    st.just(""), st.text(st.characters(exclude_characters="()\n"), min_size=1).map(lambda name: f"({name})")
)
DESCRIPTIONS = st.text(st.characters(categories=["L", "N", "P"]), min_size=1)


@pytest.mark.parametrize(
    ("message", "bump"),
    [
        ("fix: rounding", Bump.PATCH),
        ("fix(web): rounding", Bump.PATCH),
        ("Fix: rounding", Bump.PATCH),
        ("feat: a page", Bump.MINOR),
        ("feat(web, api):  two spaces", Bump.MINOR),
        ("feat!: a new answer", Bump.MAJOR),
        ("docs(api)!: the old address is gone", Bump.MAJOR),
        ("docs: spelling", Bump.NONE),
        ("revert: feat: a page", Bump.NONE),
        ('Revert "feat!: a new answer"', Bump.NONE),
        ("Merge branch 'feat: x'", Bump.NONE),
        ("fixup! feat: a page", Bump.NONE),
        ("feature: a page", Bump.NONE),
        ("feat a page", Bump.NONE),
        ("feat:a page", Bump.NONE),
        ("feat : a page", Bump.NONE),
        ("feat():  a page", Bump.NONE),
        ("feat: ", Bump.NONE),
        ("a feat: a page", Bump.NONE),
        ("", Bump.NONE),
        ("\n\nfix: below empty lines\n", Bump.PATCH),
    ],
)
def test_the_header_decides(message: str, bump: Bump) -> None:
    assert bump_of([message]) is bump


@pytest.mark.parametrize(
    "message",
    [
        "fix: rounding\n\nBREAKING CHANGE: two digits only",
        "fix: rounding\n\nBREAKING-CHANGE: two digits only",
        "docs: rounding\n\nWhy.\n\nReviewed-by: Somebody\nBREAKING CHANGE: two digits only\nRefs #3",
        "docs: rounding\r\n\r\nBREAKING CHANGE: two digits only\r\n",
        "no type at all\n\nBREAKING CHANGE: two digits only",
        "fix: rounding\n\nBREAKING CHANGE:\nit is a long story",
        "fix: rounding\nBREAKING CHANGE: without an empty line before it",
        "BREAKING CHANGE: two digits only",
    ],
)
def test_a_footer_tells_of_a_breaking_change(message: str) -> None:
    assert bump_of([message]) is Bump.MAJOR


@pytest.mark.parametrize(
    "body",
    [
        "breaking change: only capitals count",
        "BREAKING CHANGES: this is no token of the specification",
        "BREAKING CHANGE without a colon",
        "See the rules about\nBREAKING CHANGE: such a line in prose is none",
        "  BREAKING CHANGE: indented, as a quotation is",
        "NON-BREAKING CHANGE: quite the contrary",
    ],
)
def test_prose_about_breaking_changes_breaks_nothing(body: str) -> None:
    assert bump_of([f"fix: rounding\n\n{body}"]) is Bump.PATCH


def test_the_greatest_wins_and_nothing_asks_for_nothing() -> None:
    assert bump_of(["fix: a", "docs: b", "feat: c", "fix: d"]) is Bump.MINOR
    assert bump_of([]) is Bump.NONE


@given(kind=TYPES, scope=SCOPES, breaking=st.booleans(), description=DESCRIPTIONS)
def test_every_header_of_the_specification_is_read(kind: str, scope: str, *, breaking: bool, description: str) -> None:
    expected = Bump.MAJOR if breaking else {"fix": Bump.PATCH, "feat": Bump.MINOR}.get(kind.lower(), Bump.NONE)
    assert bump_of([f"{kind}{scope}{'!' if breaking else ''}: {description}"]) is expected


@given(messages=st.lists(ANY_TEXT), more=ANY_TEXT)
def test_one_more_commit_never_asks_for_less(messages: list[str], more: str) -> None:
    """Nor is there a message, of whatever letters, that cannot be read."""
    assert bump_of([*messages, more]) == max(bump_of(messages), bump_of([more]))
    assert bump_of([more, *messages]) == bump_of([*messages, more])


def test_a_message_without_end_is_read_in_the_time_that_its_length_takes() -> None:
    """Patterns that look at a letter twice for each letter would not come back within the time a test has."""
    for letters in ("a" * 5_000_000, "feat(" * 1_000_000, " " * 5_000_000 + ":", "\n" * 5_000_000, "a-" * 2_500_000):
        assert bump_of([letters, f"x\n\n{letters}"]) is Bump.NONE
        assert len(subject_of(letters)) <= 210


@given(text=ANY_TEXT, most=st.integers(1, 50))
def test_foreign_text_becomes_one_printable_line(text: str, most: int) -> None:
    line = one_line(text, most)
    assert line.isprintable()
    assert len(line) <= most + most // 3 + len("...")  # one letter for each command that is broken up


def test_foreign_text_that_is_harmless_stays_as_it_is() -> None:
    assert one_line("feat: Ünïcode, 漢字 and 🚀 (#12)") == "feat: Ünïcode, 漢字 and 🚀 (#12)"


@pytest.mark.parametrize("command", ["##[add-mask]0.3.1", "x ##[stop-commands]y", "####[debug]"])
def test_foreign_text_holds_no_command_to_a_runner(command: str) -> None:
    """It would be obeyed wherever in a line it stands."""
    assert "##[" not in one_line(command)


def test_a_subject_is_the_first_line() -> None:
    assert subject_of("\nfix: this\r\n\nand why\n") == "fix: this"
    assert subject_of("fix: \x1b[31mred\x07 \u202egnorw\u2028x") == "fix:  [31mred   gnorw x"
