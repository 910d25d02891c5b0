"""What a commit's message means for the version: a feature, a breaking change, or else a patch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.release.job import one_line
from crypto_predict.release.version import Bump, bump_of, subject_of

ANY_TEXT = st.text(st.characters(exclude_categories=[]))  # bytes of git that are not UTF-8 become surrogates
TYPES = st.sampled_from(["fix", "feat", "docs", "refactor", "Fix", "FEAT", "build-system", "i18n"])
SCOPES = st.just("") | st.text(st.characters(exclude_characters="()\n"), min_size=1).map("({})".format)
DESCRIPTIONS = st.text(st.characters(categories=["L", "N", "P"]), min_size=1)


@pytest.mark.parametrize(
    ("message", "bump"),
    [
        ("fix: rounding", Bump.PATCH),
        ("docs: spelling", Bump.PATCH),
        ("added SOL pair", Bump.PATCH),
        ("", Bump.PATCH),
        ("feat(web, api):  two spaces", Bump.MINOR),
        ("\n\nfeat: below empty lines\n", Bump.MINOR),
        ("docs(api)!: the old address is gone", Bump.MAJOR),
        ("revert: feat: a page", Bump.PATCH),
        ('Revert "feat!: a new answer"', Bump.PATCH),
        ("Merge branch 'feat: x'", Bump.PATCH),
        ("feat : a page", Bump.PATCH),
        ("feat: ", Bump.PATCH),
        ("a feat: a page", Bump.PATCH),
    ],
)
def test_the_header_decides_and_whatever_it_is_a_release_follows(message: str, bump: Bump) -> None:
    assert bump_of([message]) is bump


@pytest.mark.parametrize(
    "message",
    [
        "fix: rounding\n\nBREAKING CHANGE: two digits only",
        "fix: rounding\n\nBREAKING-CHANGE: two digits only",
        "docs: rounding\n\nWhy.\n\nReviewed-by: Somebody\nBREAKING CHANGE: two digits only\nRefs #3",
        "docs: rounding\r\n\r\nBREAKING CHANGE: two digits only\r\n",
        "without a type\n\nBREAKING CHANGE: two digits only",
        "fix: rounding\n\nBREAKING CHANGE:\nit is a long story",
        "fix: rounding\nBREAKING CHANGE: without an empty line before it",
        "BREAKING CHANGE: two digits only",
    ],
)
def test_a_footer_announces_a_breaking_change(message: str) -> None:
    assert bump_of([message]) is Bump.MAJOR


@pytest.mark.parametrize(
    "body",
    [
        "breaking change: only capitals count",
        "BREAKING CHANGES: not a token of the specification",
        "See the rules about\nBREAKING CHANGE: inside a paragraph of prose",
        "  BREAKING CHANGE: indented, as a quotation is",
        "NON-BREAKING CHANGE: quite the contrary",
    ],
)
def test_prose_about_breaking_changes_breaks_nothing(body: str) -> None:
    assert bump_of([f"fix: rounding\n\n{body}"]) is Bump.PATCH


@given(kind=TYPES, scope=SCOPES, breaking=st.booleans(), description=DESCRIPTIONS)
def test_every_header_of_the_specification_is_read(kind: str, scope: str, *, breaking: bool, description: str) -> None:
    expected = Bump.MAJOR if breaking else Bump.MINOR if kind.lower() == "feat" else Bump.PATCH
    assert bump_of([f"{kind}{scope}{'!' if breaking else ''}: {description}"]) is expected


@given(messages=st.lists(ANY_TEXT), more=ANY_TEXT)
def test_the_greatest_wins_in_any_order(messages: list[str], more: str) -> None:
    """Any text can be read as a message."""
    assert bump_of([*messages, more]) == max(bump_of(messages), bump_of([more]))
    assert bump_of([more, *messages]) == bump_of([*messages, more])


def test_reading_a_message_takes_time_in_proportion_to_its_length() -> None:
    """A pattern that backtracks would take longer than a test may."""
    for letters in ("a" * 5_000_000, "feat(" * 1_000_000, " " * 5_000_000 + ":", "\n" * 5_000_000, "a-" * 2_500_000):
        assert bump_of([letters, f"x\n\n{letters}"]) is Bump.PATCH
        assert len(subject_of(letters)) <= 210


@given(text=ANY_TEXT | st.lists(st.sampled_from(["#", "##[", "x"])).map("".join), most=st.integers(1, 50))
def test_text_from_outside_becomes_one_printable_line_without_a_command(text: str, most: int) -> None:
    """A runner executes `##[command]` wherever it stands in a line."""
    line = one_line(text, most)
    assert (line.isprintable(), "##[" in line) == (True, False)
    assert len(line) <= most + most // 3 + len("...")  # a letter more for each command that is broken up


def test_a_subject_is_the_first_line_and_keeps_its_letters() -> None:
    assert subject_of("\nfeat: Ünïcode, 漢字 and 🚀 (#12)\r\n\nand why\n") == "feat: Ünïcode, 漢字 and 🚀 (#12)"
    assert subject_of("fix: \x1b[31mred\x07 \u202egnorw\u2028x") == "fix:  [31mred   gnorw x"
