"""Which spans of a series are asked for, and in which windows."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.collecting.windows import (
    NEAR,
    REVISED,
    WINDOW,
    asked_again,
    due_at,
    due_pieces,
    is_final,
    newest_pieces,
    uncovered,
    windows,
)
from crypto_predict.market import EPOCH, Interval, Span, StoredGap
from crypto_predict.market.collected import MOST_ATTEMPTS

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
    covered_minutes = {minute for minute in minutes(covered) if minute in wanted}
    assert minutes(missing) == [minute for minute in minutes([wanted]) if minute not in covered_minutes]
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
    cuts = [(piece.end - EPOCH) % (WINDOW * interval.length) for piece in pieces[:-1]]
    assert not any(cuts), "a resumed backfill has the same windows"


def gap(first: int, length: int, attempts: int = 1) -> StoredGap:
    return StoredGap(at(first), at(first + length), length, "", attempts=attempts, found_at=START)


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
    questions = list(asked_again(gaps, wanted, MINUTE))
    for stored_gap in gaps:
        for edge in (stored_gap.start, stored_gap.end - MINUTE.length):
            assert sum(edge in span for span in questions) == 1
    numbers = [{(edge - EPOCH) // (WINDOW * MINUTE.length) for edge in (span.start, last(span))} for span in questions]
    assert all(len(number) == 1 for number in numbers)
    assert len(set().union(*numbers)) == len(questions), "two questions about one window"
    assert all(before.end <= after.start for before, after in pairwise(questions))


def test_a_gap_is_asked_for_less_and_less_often_and_then_no_more() -> None:
    """An exchange that was down delivers later; one that had no trade never does."""
    due = [due_at(gap(0, 1, attempts)) for attempts in range(1, MOST_ATTEMPTS + 1)]
    assert due == [*(START + wait for wait in (MINUTE.length, timedelta(hours=1), timedelta(days=1))), None]


def test_a_gap_that_was_old_when_it_was_found_is_not_due() -> None:
    """Only a backfill asks for it again."""
    old = gap(-4_000, 10)
    assert due_at(old) is None
    assert not is_final(old)


@given(EDGES, st.none() | st.integers(0, 70), st.integers(0, 30), st.integers(31, 60))
def test_the_newest_end_is_all_that_is_missing_and_the_newest_few_again(
    edges: list[int], newest: int | None, first: int, end: int
) -> None:
    covered, wanted = spans(edges), Span(at(first), at(end))
    pieces = list(newest_pieces(wanted, covered, None if newest is None else at(newest), MINUTE))
    questions = {minute for span, _ in pieces for minute in minutes([span])}
    missing = set(minutes(list(uncovered(wanted, covered))))
    last_known = at(min(newest, end)) if newest is not None else EPOCH
    again = set(minutes([Span(last_known - REVISED * MINUTE.length, last_known)])) & set(minutes([wanted]))
    assert missing | again <= questions <= set(minutes([wanted]))
    for span, asked_before in pieces:
        inside = [minute for minute in sorted(missing) if minute in span]
        assert asked_before <= min(inside, default=span.end), "what is missing counts as asked for afterwards"
    assert all(after[0].start - before[0].end > NEAR * MINUTE.length for before, after in pairwise(pieces))


def test_spans_that_are_far_apart_are_two_questions() -> None:
    covered = [Span(at(1), at(1 + NEAR + 1))]
    pieces = list(newest_pieces(Span(at(0), at(3 + NEAR)), covered, None, MINUTE))
    assert pieces == [(Span(at(0), at(1)), at(0)), (Span(at(2 + NEAR), at(3 + NEAR)), at(2 + NEAR))]


def test_gaps_that_are_not_due_are_not_asked_for_with_those_that_are() -> None:
    """They would count another attempt, and be final before the exchange had the time to deliver."""
    gaps = [gap(0, 1), gap(2, 1), gap(4, 1, attempts=2), gap(6, 1), gap(8, 1, attempts=MOST_ATTEMPTS)]
    due = list(due_pieces(gaps, Span(at(0), at(60)), MINUTE, START + timedelta(minutes=2)))
    assert due == [Span(at(0), at(3)), Span(at(6), at(7))]
