import gzip
import math
import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto_predict.errors import InvalidValue, UnusableHistory
from crypto_predict.market import EPOCH, Candle, Interval, Pair, Span
from crypto_predict.sources.csv_file import MOST_FAULTS, CsvFile, read_csv
from tests.support.histories import read_candles

BTC = Pair("BTC", "USD")
NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
HEADER = "time,open,high,low,close,volume"
DAYS = [
    Candle(datetime(2024, 1, 1, tzinfo=UTC), 10.0, 12.0, 9.0, 11.0, 5.5),
    Candle(datetime(2024, 1, 2, tzinfo=UTC), 11.0, 11.5, 10.5, 10.75, 0.0),
    Candle(datetime(2024, 1, 3, tzinfo=UTC), 10.75, 20.0, 10.75, 20.0, 1e6),
]
ROWS = ["2024-01-01,10,12,9,11,5.5", "2024-01-02,11.0,11.5,10.5,10.75,0", "2024-01-03,10.75,20.,1.075e1,2E1,1000000"]
SOUND = "\n".join([HEADER, *ROWS, ""])
UNREADABLE = "is not a date that can be read: write 2025-06-30, or 2025-06-30T14:00Z"
REAL = sorted((Path(__file__).parents[3] / "shared" / "data").glob("bi*_1?*.csv*"))


def read(path: Path, content: str | bytes) -> list[Candle]:
    """The candles of a file with this content."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_candles(path)


def faults_of(path: Path, content: str | bytes) -> tuple[str, ...]:
    """The faults of a file with this content."""
    with pytest.raises(UnusableHistory) as error:
        read(path, content)
    assert error.value.subject == f"file:{path}"
    return error.value.faults


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "prices.csv"


NOTATIONS = {
    "plain": SOUND,
    "no last end": SOUND.rstrip("\n"),
    "CRLF": SOUND.replace("\n", "\r\n"),
    "BOM": "\ufeff" + SOUND,
    "blank lines": "\n \n" + SOUND.replace("\n", "\n\n") + "\n\t\n",
    "spaces": SOUND.replace(",", " , "),
    "quotes": "\n".join('"' + line.replace(",", '","') + '"' for line in [HEADER, *ROWS]),
    "header case": SOUND.replace(HEADER, "TIME, Open ,HIGH,low,Close,Volume"),
    "an index of pandas": SOUND.replace(HEADER, "# written by pandas\n,o,h,l,c,v"),
    "milliseconds by name": "MTS,OPEN,CLOSE,HIGH,LOW,VOLUME\n1704067200000,10,11,12,9,5.5\n1704153600000,11,10.75,11.5,"
    "10.5,0\n1704240000000,10.75,20,20,10.75,1000000\n",
    "a header of three lines": "Price,Adj Close,Close,High,Low,Open,Volume\nTicker,A,A,A,A,A,A\nDatetime,,,,,,\n"
    "2024-01-01,99,11,12,9,10,5.5\n2024-01-02,99,10.75,11.5,10.5,11,0\n2024-01-03,99,20,20,10.75,10.75,1000000\n",
    "other columns": "note,number," + SOUND.replace("\n20", "\ngr\u00fcn,x,20"),
    "gzip": gzip.compress(SOUND.encode()),
    "gzip in two members": gzip.compress(SOUND[:40].encode()) + gzip.compress(SOUND[40:].encode()),
}


@pytest.mark.parametrize("content", NOTATIONS.values(), ids=NOTATIONS)
def test_a_table_is_read_in_every_notation(path: Path, content: str | bytes) -> None:
    assert read(path, content) == DAYS


def test_a_name_ending_in_gz_does_not_make_a_file_compressed(tmp_path: Path) -> None:
    """Browsers unpack downloads and keep the name."""
    assert read(tmp_path / "prices.csv.gz", SOUND) == DAYS


YFINANCE = ["Price,Close,High,Low,Open", "Ticker,BTC-USD,BTC-USD,BTC-USD,BTC-USD", "Date,,,,"]


THREE_LINES = {
    "Price,Close,Close,High,High;Ticker,BTC-USD,ETH-USD,BTC-USD,ETH-USD;Date,,,,": (
        "line 2: 2 tickers, where a file must hold one: BTC-USD, ETH-USD"
    ),
    f"{YFINANCE[0]};Ticker,A,B,C,D,E,F;Date,,,,": ("line 2: 6 tickers, where a file must hold one: A, B, C, D, E, ..."),
    "Price,Close,High,Low;Ticker,A,A,A;Date,,,": "line 1: missing columns: open; the columns found are",
    ";".join([*YFINANCE[:2], "2024-01-01,11,12,9,10"]): "line 1: missing columns: time; the columns found",
    YFINANCE[0]: "line 1: missing columns: time; the columns found are ['Price', ",
    f'{YFINANCE[0]};;Ticker,"A': "line 3: it is not CSV",
    ";".join(YFINANCE): "no row follows the header",
    ";".join([*YFINANCE, "", "2024-01-01,11,12,9,ten"]): "line 5: open 'ten' is not a number",
}


@pytest.mark.parametrize(("text", "fault"), THREE_LINES.items())
def test_a_fault_in_a_header_of_three_lines_is_reported_with_its_line(path: Path, text: str, fault: str) -> None:
    [result] = faults_of(path, text.replace(";", "\n"))
    assert result.startswith(fault)


def test_a_column_called_price_does_not_make_a_header_of_three_lines(path: Path) -> None:
    assert read(path, f"Price,{HEADER}\n" + "\n".join(f"9,{row}" for row in ROWS)) == DAYS


def test_a_table_in_the_documented_format_is_read_without_a_warning(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read(path, SOUND)
    assert caplog.messages == []


def test_without_a_volume_column_the_volume_is_0(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_text("time,open,high,low,close\n2024-01-01,10,12,9,11\n")
    assert read_candles(path) == [DAYS[0]._replace(volume=0.0)]
    assert caplog.messages == [f"file:{path}: assumed that there is no volume"]


@pytest.mark.parametrize("base", ["BTC", "ETH"])
def test_of_several_volumes_that_of_the_base_currency_is_read(path: Path, base: str) -> None:
    path.write_text("time,open,high,low,close,Volume BTC,Volume ETH\n2024-01-01,10,12,9,11,1,2\n")
    assert [candle.volume for candle in read_candles(path, base)] == [{"BTC": 1.0, "ETH": 2.0}[base]]


@given(order=st.permutations(range(12)))
def test_the_order_of_rows_does_not_matter(order: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = [f"2024-01-{day + 1:02},10,12,9,11,{day}" for day in order]
    candles = read(tmp_path_factory.getbasetemp() / "shuffled.csv", "\n".join([HEADER, *rows]))
    assert [candle.volume for candle in candles] == list(range(12))


def test_rows_with_the_same_time_keep_their_order(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The last copy of a repeated candle counts."""
    rows = ["2024-01-02,10,12,9,11,1", "2024-01-01,10,12,9,11,2", "2024-01-02,10,12,9,11,3"]
    assert [candle.volume for candle in read(path, "\n".join([HEADER, *rows]))] == [2, 1, 3]
    assert caplog.messages == [f"file:{path}: assumed that the order is not by time, which is sorted"]


def test_a_file_without_any_price_is_refused(path: Path) -> None:
    assert faults_of(path, f"{HEADER}\n2024-01-01,,,,,\n2024-01-02,null,null,null,null,1\n") == ("no row has a price",)


@given(prices=st.lists(st.tuples(*[st.floats(min_value=1e-12, max_value=1e15)] * 5), min_size=1, max_size=12))
def test_what_was_written_is_read_back_to_the_last_bit(
    prices: list[tuple[float, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = [
        f"{DAYS[0].open_time + timedelta(days=day):%Y-%m-%d},{','.join(map(str, row))}"
        for day, row in enumerate(prices)
    ]
    candles = read(tmp_path_factory.getbasetemp() / "written.csv", "\n".join([HEADER, *rows]))
    assert [candle[1:6] for candle in candles] == prices


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("2024-01-02,10,12,9,11", "5 fields, the header has 6"),
        ("2024-01-02,10,12,9,11,1,,7", "8 fields, the header has 6"),
        ("2024-01-02,1_0,12,9,11,1", "open '1_0' is not a number"),
        ("2024-01-02,10,12,nine,11,1", "low 'nine' is not a number"),
        ("2024-01-02,10,12,9,\u0661\u0661,1", "close '\u0661\u0661' is not a number"),
        ("yesterday,10,12,9,11,1", f"time 'yesterday' {UNREADABLE}"),
        (",10,12,9,11,1", f"time '' {UNREADABLE}"),
        ("2024-02-30,10,12,9,11,1", f"time '2024-02-30' {UNREADABLE}"),
        ("2024-01-02T12:00+25:00,10,12,9,11,1", f"time '2024-01-02T12:00+25:00' {UNREADABLE}"),
        ("0001-01-01T00:00+14:00,10,12,9,11,1", f"time '0001-01-01T00:00+14:00' {UNREADABLE}"),
        ("17041536,10,12,9,11,1", f"time '17041536' {UNREADABLE}"),
        ("1704153600000x,10,12,9,11,1", f"time '1704153600000x' {UNREADABLE}"),
        ('2024-01-02,"10,12,9,11,1', "it is not CSV: unexpected end of data"),
        ("2024-01-02,10,12,9,11\0,1", "it holds a NUL byte, so this is not text"),
        ("x" * 5000 + ",10,12,9,11,1", f"time {'x' * 40!r} {UNREADABLE}"),
    ],
)
def test_every_fault_of_a_row_is_reported_with_its_line(path: Path, row: str, fault: str) -> None:
    assert faults_of(path, f"{HEADER}\n{ROWS[0]}\n{row}\n") == (f"line 3: {fault}",)


JANUARY_2, NAN, INF = datetime(2024, 1, 2, tzinfo=UTC), math.nan, math.inf


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("2024-01-02,10,12,9,NaN,1", Candle(JANUARY_2, 10.0, 12.0, 9.0, NAN, 1.0)),
        ("2024-01-02,10,12,9,,1", Candle(JANUARY_2, 10.0, 12.0, 9.0, NAN, 1.0)),
        ("2024-01-02,null,12,9,11,1", Candle(JANUARY_2, NAN, 12.0, 9.0, 11.0, 1.0)),
        ("2024-01-02,10,inf,9,11,1", Candle(JANUARY_2, 10.0, INF, 9.0, 11.0, 1.0)),
        ("2024-01-02,10,1e999,9,-Infinity,1", Candle(JANUARY_2, 10.0, INF, 9.0, -INF, 1.0)),
        ("2024-01-02,0,9,12,-11,-1", Candle(JANUARY_2, 0.0, 9.0, 12.0, -11.0, -1.0)),
        ("2024-01-02 12:00,10,12,9,11,1", Candle(JANUARY_2 + timedelta(hours=12), 10.0, 12.0, 9.0, 11.0, 1.0)),
        ("2024-01-01,10,12,9,11,1", Candle(DAYS[0].open_time, 10.0, 12.0, 9.0, 11.0, 1.0)),
        ("2999-01-01,10,12,9,11,1", Candle(datetime(2999, 1, 1, tzinfo=UTC), 10.0, 12.0, 9.0, 11.0, 1.0)),
    ],
    ids=["NaN", "empty", "null", "inf", "beyond", "impossible", "off grid", "repeated", "future"],
)
def test_a_readable_row_is_returned_even_if_its_values_are_wrong(path: Path, row: str, expected: Candle) -> None:
    """The gate must see the fault; pandas writes NaN as an empty field."""
    first, second = read(path, "\n".join([HEADER, ROWS[0], row]))
    assert first == DAYS[0]
    assert repr(second) == repr(expected), "NaN equals nothing, so the texts are compared"


def test_all_faults_are_reported_at_once_each_with_its_own_line(path: Path) -> None:
    """A file of a hundred typing errors is repaired in one go, not in a hundred; blank lines count as lines."""
    rows = [ROWS[0], "soon,-1,twelve,9,11,1", "", ROWS[0], "2024-01-02,10,12,9", "2024-01-01T12:00,1,x,1,1,1", ROWS[2]]
    assert faults_of(path, "\n".join([HEADER, *rows])) == (
        f"line 3: time 'soon' {UNREADABLE}; high 'twelve' is not a number",
        "line 6: 4 fields, the header has 6",
        "line 7: high 'x' is not a number",
    )


def test_a_lost_quote_does_not_swallow_the_rest_of_the_file(path: Path) -> None:
    text = "\n".join([HEADER, ROWS[0], '"2024-01-02,11,11.5,10.5,10.75,0', "2024-01-03,1,1,x,1,1"])
    lines = [fault.split(":")[0] for fault in faults_of(path, text)]
    assert lines == ["line 3", "line 4"]


@pytest.mark.parametrize(
    ("time", "fault"),
    [
        ("1.5e12", "time_ms '1.5e12' is not a whole number of milliseconds since 1970"),
        ("2024-01-01", "time_ms '2024-01-01' is not a whole number of milliseconds since 1970"),
        ("1704153600000000", "time_ms 1704153600000000 lies beyond the year 9999: write milliseconds since 1970"),
    ],
)
def test_a_time_ms_that_is_not_in_milliseconds_is_reported(path: Path, time: str, fault: str) -> None:
    """Other exports contain seconds or microseconds."""
    text = f"time_ms,open,high,low,close,volume\n{time},10,12,9,11,1\n"
    assert faults_of(path, text) == (f"line 2: {fault}",)


HEADERS = {
    "time,open,close": "missing columns: high, low; the columns found are ['time', 'open', 'close']",
    "open,high,low,close,volume": "missing columns: time; the columns found are",
    f"{HEADER},time_ms": "several columns of time: time, time_ms (rename all but one); the columns found are",
    f"{HEADER},close,C,time": "several columns of time: time, time (rename all but one); several columns of close: "
    "close, close, C",
    "time,high,low,close,Volume BTC,Volume USD": "missing columns: open; several columns of volume: Volume BTC, "
    "Volume USD (rename all but one); the",
    "time,open,high,low,Adj Close": "missing columns: close; the columns found are",
    "nan,nan,nan,nan,nan,nan": "missing columns: time, open, high, low, close; the columns found are",
    "\u65e5\u671f,\u6536\u76d8,\u5f00\u76d8,\u9ad8,\u4f4e,\u91cf": "missing columns: open, high, low, close; the",
    '"time,open': "it is not CSV",
    "time\0": "it holds a NUL byte",
}


@pytest.mark.parametrize(("header", "fault"), HEADERS.items())
def test_a_faulty_header_is_reported_with_the_columns_found(path: Path, header: str, fault: str) -> None:
    [result] = faults_of(path, f"{header}\n{ROWS[0]}\n")
    assert result.startswith(f"line 1: {fault}")
    assert len(result) < 700


MONTHS = [f"{EPOCH + timedelta(days=day):%Y-%m-%d},10,12,9,11,{day}" for day in range(200)]
COMPRESSED = gzip.compress("\n".join([HEADER, *MONTHS]).encode())
WIDE = "line 1: no header names these {} columns: write a first line such as time,open,"
DAMAGED = "it is a truncated or damaged gzip file: "
OTHERS = {
    "empty": (b"", "it is empty"),
    "blank": (b"\n \r\n\n", "it is empty"),
    "empty gzip": (gzip.compress(b""), "it is empty"),
    "BOM only": (b"\xef\xbb\xbf\n", "it is empty"),
    "header": (HEADER.encode(), "no row follows the header"),
    "header and blanks": (f"{HEADER}\n\n\n".encode(), "no row follows the header"),
    "binary": (b"\x7fELF\x02\x01\x01\0\0\0\0", "line 1: it holds a NUL byte, so this is not text"),
    "picture": (b"\x89PNG\r\n\x1a\n", "line 1: missing columns: time, open, high, low, close; the columns found are"),
    "archive": (b"PK\x03\x04\x14\0", "it is a ZIP archive or an Excel workbook: unpack it, or save the sheet as CSV"),
    "JSON": (b'\xef\xbb\xbf [{"time": 1}]', "it is JSON: save the table as CSV"),
    "web page": (b"<!DOCTYPE html>\n<html>", "it is a web page, not a table: download the CSV file itself"),
    "nine columns": (f"{ROWS[0]},1,2,3".encode(), WIDE.format(9)),
    "impossible columns": (b"2024-01-01,10,8,9,11,5\n", WIDE.format(6)),
    "gzip twice": (gzip.compress(gzip.compress(SOUND.encode())), "line 1: "),
    "no trailer": (COMPRESSED[:-8], DAMAGED),
    "cut in the stream": (COMPRESSED[:12], DAMAGED),
    "magic only": (COMPRESSED[:2], DAMAGED),
    "wrong checksum": (COMPRESSED[:-6] + b"\0" * 6, DAMAGED),
    "garbage behind": (COMPRESSED + b"garbage", DAMAGED),
    "damaged": (b"\x1f\x8b\x08\x00" + b"\xff" * 60, DAMAGED),
    "one long line": (b"," * 10_000_000, "line 1 is longer than 10,000 characters: this is not a table of candles"),
    "a long second line": (f"{HEADER}\n{'9' * 10_000_000}".encode(), "line 2 is longer than 10,000 characters: this"),
}


@pytest.mark.parametrize(("content", "fault"), OTHERS.values(), ids=OTHERS)
def test_a_file_that_is_not_a_table_of_candles_is_refused_with_the_reason(
    path: Path, content: bytes, fault: str
) -> None:
    assert faults_of(path, content)[-1].startswith(fault)


def test_a_missing_file_a_folder_and_a_pipe_have_different_messages(tmp_path: Path) -> None:
    """Reading a pipe without a writer would never end."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "plain").touch()
    expected = {
        "missing.csv": "the file does not exist",
        ".": "it is a directory, not a file",
        "pipe": "it is not a regular file",
        "plain/below": "it cannot be read: Not a directory",
        "x" * 5000: "it cannot be read: File name too long",
        "nul\0": "it cannot be read: ",
    }
    for name, fault in expected.items():
        with pytest.raises(UnusableHistory) as error:
            read_csv(tmp_path / name)
        assert len(error.value.faults) == 1
        assert error.value.faults[0].startswith(fault)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_read_permission_is_reported(path: Path) -> None:
    path.write_text(SOUND)
    path.chmod(0)
    with pytest.raises(UnusableHistory, match="it cannot be read: Permission denied"):
        read_csv(path)


def test_a_hostile_number_of_faults_ends_the_reading(path: Path) -> None:
    """The message shows the first twenty."""
    with pytest.raises(UnusableHistory, match=r"\n  line 21: [^\n]+\n  \.\.\. and 981 more$") as error:
        read(path, HEADER + "\nx" * 50_000)
    result = error.value.faults
    assert len(result) == MOST_FAULTS + 1
    assert result[-1] == f"reading stopped at line {MOST_FAULTS + 1}"


def test_a_file_with_more_lines_than_any_history_is_refused(path: Path) -> None:
    """Blank lines count: a bomb may contain only blank lines."""
    path.write_text(SOUND + "\n" * 6)
    assert read_candles(path, most_lines=10) == DAYS
    with pytest.raises(UnusableHistory, match="it has more than 9 lines; SOURCE_CANDLES allows more"):
        read_csv(path, most_lines=9)


def test_a_file_with_more_bytes_than_any_history_is_refused(path: Path) -> None:
    """Long lines take time even if their columns are ignored."""
    path.write_text(SOUND.replace("\n", "," + "x" * 5_000 + "\n"))
    assert read_candles(path, most_lines=100) == DAYS
    with pytest.raises(UnusableHistory, match="it has more than 5,000 characters; SOURCE_CANDLES allows more"):
        read_csv(path, most_lines=10)


CSV_LIKE = st.text(alphabet=st.sampled_from('0123456789-/:TZ.,;+eEJanPMK$"\n\r\t\0 \u00e9\udc80if'), max_size=200)
CONTENTS = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=200).map(lambda tail: b"\x1f\x8b\x08" + tail),
    CSV_LIKE.map(lambda text: text.encode("utf-8", "surrogateescape")),
    CSV_LIKE.map(lambda tail: f"{HEADER}\n{tail}".encode("utf-8", "surrogateescape")),
    CSV_LIKE.map(lambda tail: f"Date;Price\n01/02/2024;1,5\n{tail}".encode("utf-16", "replace")),
    CSV_LIKE.map(lambda tail: gzip.compress(f"{SOUND}{tail}".encode("utf-8", "surrogateescape"))),
)


@given(content=CONTENTS)
def test_any_content_is_read_or_refused_with_an_error_of_this_project(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with suppress(UnusableHistory, InvalidValue):
        candles = read(tmp_path_factory.getbasetemp() / "any.csv", content)
        assert candles
        assert all(candle.open_time.utcoffset() == timedelta(0) for candle in candles)


@pytest.fixture
def source(path: Path) -> CsvFile:
    path.write_text(SOUND)
    return CsvFile(str(path))


def test_the_id_of_a_file_is_what_the_user_wrote_and_its_prices_count_as_real(tmp_path: Path) -> None:
    source = CsvFile("data/{base}.csv")
    assert (source.id, source.simulated) == ("file:data/{base}.csv", False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("limit", "day"), [(NOW, 4), (datetime(2024, 1, 4, tzinfo=UTC), 4), (datetime(2024, 1, 3, 23, 59, tzinfo=UTC), 3)]
)
def test_a_file_ends_with_the_close_of_its_last_row_within_the_limit(
    source: CsvFile, limit: datetime, day: int
) -> None:
    """A limit before the first close is rounded down: `history` reports that the rows open too late."""
    assert source.newest_close(BTC, Interval.DAY_1, limit) == datetime(2024, 1, day, tzinfo=UTC)
    early = datetime(2024, 1, 1, 23, 59, tzinfo=UTC)
    assert source.newest_close(BTC, Interval.DAY_1, early) == datetime(2024, 1, 1, tzinfo=UTC)


def test_rows_from_the_start_of_the_span_on_are_returned(path: Path) -> None:
    """Each with its line. Also later and repeated ones: the audit must see candles from the future and copies."""
    path.write_text("\n".join([HEADER, ROWS[2], ROWS[0], ROWS[1], "", ROWS[1]]))
    span = Span(DAYS[0].open_time + timedelta(seconds=1), DAYS[2].open_time)
    source = CsvFile(str(path))
    assert list(source.rows(BTC, Interval.DAY_1, span)) == [(DAYS[1], 4), (DAYS[1], 6), (DAYS[2], 2)]
    assert source.newest_close(BTC, Interval.DAY_1, NOW) == datetime(2024, 1, 4, tzinfo=UTC)


def test_a_file_is_read_once(source: CsvFile, path: Path) -> None:
    """The newest close and the candles must come from the same content, even if the file is replaced in between."""
    end = source.newest_close(BTC, Interval.DAY_1, NOW)
    path.unlink()
    assert list(source.candles(BTC, Interval.DAY_1, Span(EPOCH, end))) == DAYS


def test_placeholders_stand_for_the_currencies(tmp_path: Path) -> None:
    source = CsvFile(str(tmp_path / "{quote}" / "{base}.csv"))
    (tmp_path / "USD").mkdir()
    for count, base in enumerate(["BTC", "ETH"], start=1):
        (tmp_path / "USD" / f"{base}.csv").write_text("\n".join([HEADER, *ROWS[:count]]))
    ends = [source.newest_close(Pair(base, "USD"), Interval.DAY_1, NOW).day for base in ("BTC", "ETH")]
    assert ends == [2, 3]
    with pytest.raises(UnusableHistory, match=r"EUR/BTC\.csv: the file does not exist"):
        source.newest_close(Pair("BTC", "EUR"), Interval.DAY_1, NOW)


@pytest.mark.skipif(not REAL, reason="the real prices are not on this machine")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_every_row_of_real_prices_is_read(path: Path) -> None:
    content = path.read_bytes()
    rows = (gzip.decompress(content) if path.suffix == ".gz" else content).splitlines()[1:]
    assert len(read_candles(path)) == len(rows) > 1_000
