"""Which spans of a series are asked for, and in which windows."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.collecting.missing import WINDOW, asked_again, due_at, is_final, uncovered, windows
from crypto_predict.market import EPOCH, Gap, Interval, Span
from crypto_predict.market.ports import MOST_ATTEMPTS, StoredGap

START = datetime(2024, 5, 17, tzinfo=UTC)
MINUTE = Interval.MINUTE_1
EDGES = st.lists(st.integers(0, 60), max_size=12, unique=True).map(sorted)


def at(minute: int) -> datetime:
    return START + minute * MINUTE.length


def spans(edges: list[int]) -> list[Span]:
    """Spans that are apart, from pairs of edges."""
    return [Span(at(first), at(last)) for first, last in zip(edges[::2], edges[1::2], strict=False)]


def minutes(parts: list[Span]) -> list[datetime]:
    return [at(number) for part in parts for number in range(-20, 100) if at(number) in part]


@given(st.integers(-10, 70), st.integers(-10, 70), EDGES)
def test_covered_and_uncovered_parts_make_the_whole(first: int, last: int, edges: list[int]) -> None:
    """Nothing is asked for twice, and nothing is left out."""
    wanted, covered = Span(at(first), at(last)), spans(edges)
    missing = list(uncovered(wanted, covered))
    known = {minute for minute in minutes(covered) if minute in wanted}
    assert minutes(missing) == [minute for minute in minutes([wanted]) if minute not in known]
    assert all(part.start < part.end for part in missing)


@given(st.sampled_from(Interval), st.integers(0, 3 * WINDOW), st.integers(0, 4 * WINDOW))
def test_windows_are_the_span_in_pieces_of_at_most_one_page(interval: Interval, first: int, length: int) -> None:
    start = START + first * interval.length
    span = Span(start, start + length * interval.length)
    pieces = list(windows(span, interval))
    edges = [piece.start for piece in pieces] + [piece.end for piece in pieces[-1:]]
    assert edges == ([] if length == 0 else [span.start, *(piece.end for piece in pieces)])
    assert all(before.end == after.start for before, after in pairwise(pieces))
    assert all(piece.end - piece.start <= WINDOW * interval.length for piece in pieces)
    assert all(piece.end.timestamp() % 86_400 == 0 for piece in pieces[:-1]), "windows end between two sessions"


def gap(first: int, length: int, attempts: int = 1) -> StoredGap:
    return StoredGap(Gap(at(first), at(first + length), length), "", attempts, "", START)


def last(span: Span) -> datetime:
    return span.end - MINUTE.length


@given(st.lists(st.tuples(st.integers(1, 3 * WINDOW // 7), st.integers(1, WINDOW)), max_size=5))
def test_one_question_is_enough_for_the_gaps_of_a_window(steps: list[tuple[int, int]]) -> None:
    """A thin market has hundreds of gaps a day."""
    gaps, end = [], 0
    for apart, length in steps:
        gaps.append(gap(end + apart, length))
        end += apart + length
    wanted = Span(at(0), at(end + 1))
    asked = list(asked_again(gaps, wanted, MINUTE))
    for one in gaps:
        for edge in (one.gap.start, one.gap.end - MINUTE.length):
            assert sum(edge in span for span in asked) == 1
    numbers = [{(edge - EPOCH) // (WINDOW * MINUTE.length) for edge in (span.start, last(span))} for span in asked]
    assert all(len(number) == 1 for number in numbers)
    assert len(set().union(*numbers)) == len(asked), "two questions about one window"
    assert all(before.end <= after.start for before, after in pairwise(asked))


def test_a_gap_is_asked_for_less_and_less_often_and_then_no_more() -> None:
    """An exchange that was down delivers later; one that had no trade never does."""
    due = [due_at(gap(0, 1, attempts)) for attempts in range(1, MOST_ATTEMPTS + 1)]
    assert due == [*(START + wait for wait in (MINUTE.length, timedelta(hours=1), timedelta(days=1))), None]


def test_a_gap_that_was_old_when_it_was_found_is_not_due() -> None:
    """Only a backfill asks for it again."""
    old = gap(-4_000, 10)
    assert due_at(old) is None
    assert not is_final(old)
