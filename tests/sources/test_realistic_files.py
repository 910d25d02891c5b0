"""Files of prices as people have them: exports of exchanges and data sites, pasted tables, spreadsheets.

Each is written here in the notation of its site, from the same days.
"""

import gzip
import io
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from crypto_predict.baked import store
from crypto_predict.market import Candle, Interval, Pair, Span
from crypto_predict.sources.csv_file import CsvFile
from tests.support.forks import forked_training
from tests.support.histories import wandering

DAYS = 75  # too few for a backtest, which would take most of the time
FIRST = datetime(2025, 4, 17, tzinfo=UTC)
DAY = timedelta(days=1)


def candle(day: int) -> Candle:
    first, close = round(wandering(day - 1), 2), round(wandering(day), 2)
    high, low = round(max(first, close) * 1.01, 2), round(min(first, close) * 0.99, 2)
    return Candle(FIRST + day * DAY, first, high, low, close, 1_234.5 + day)


CANDLES = [candle(day) for day in range(DAYS)]
NEWEST_FIRST = CANDLES[::-1]


def table(header: str, rows: Sequence[str], *after: str) -> str:
    return "\n".join([*([header] if header else []), *rows, *after, ""])


def grouped(number: float, decimals: int = 2) -> str:
    return f"{number:,.{decimals}f}"


def german(number: float, decimals: int = 2) -> str:
    return grouped(number, decimals).translate(str.maketrans(",.", ".,"))


def seconds(candle: Candle) -> int:
    return int(candle.open_time.timestamp())


def prices(candle: Candle) -> str:
    return f"{candle.open},{candle.high},{candle.low},{candle.close}"


def yahoo() -> str:
    """Yahoo Finance, some of whose tables have no volume."""
    return table(
        "Date,Open,High,Low,Close,Adj Close,Volume",
        [f"{c.open_time:%Y-%m-%d},{prices(c)},{c.close}," for c in CANDLES],
        "2025-07-01,,,,,,",
    )


def yahoo_pasted() -> str:
    """The table of Yahoo's page, pasted into a spreadsheet and saved as text."""
    header = (
        "Date\tOpen\tHigh\tLow\tClose Close price adjusted for splits.\tAdj Close Adjusted close price adjusted for "
        "splits and dividend and/or capital gain distributions.\tVolume"
    )
    rows = [
        "\t".join(
            [f"{c.open_time:%b} {c.open_time.day}, {c.open_time:%Y}", *map(grouped, c[1:5]), grouped(c.close), "-"]
        )
        for c in NEWEST_FIRST
    ]
    return table(header, rows)


def yfinance() -> str:
    """The header of three lines that yfinance's data frames have."""
    header = "Price,Close,High,Low,Open,Volume\nTicker,BTC-USD,BTC-USD,BTC-USD,BTC-USD,BTC-USD\nDate,,,,,"
    return table(header, [f"{c.open_time:%Y-%m-%d},{c.close},{c.high},{c.low},{c.open},{c.volume}" for c in CANDLES])


def investing() -> str:
    header = '\ufeff"Date","Price","Open","High","Low","Vol.","Change %"'
    return table(
        header,
        [
            f'"{c.open_time:%m/%d/%Y}","{grouped(c.close)}","{grouped(c.open)}","{grouped(c.high)}","{grouped(c.low)}",'
            f'"{c.volume / 1000:.2f}K","-0.41%"'
            for c in NEWEST_FIRST
        ],
    )


def investing_german() -> str:
    return table(
        '\ufeff"Datum","Zuletzt","Eröffn.","Hoch","Tief","Vol.","+/- %"',
        [
            f'"{c.open_time:%d.%m.%Y}","{german(c.close)}","{german(c.open)}","{german(c.high)}","{german(c.low)}",'
            f'"{german(c.volume / 1000)}K","-0,41%"'
            for c in NEWEST_FIRST
        ],
    )


def coinmarketcap() -> str:
    return table(
        "timeOpen;timeClose;timeHigh;timeLow;name;open;high;low;close;volume;marketCap;timestamp",
        [
            f'"{c.open_time:%Y-%m-%d}T00:00:00.000Z";"{c.open_time:%Y-%m-%d}T23:59:59.999Z";"";"";"2781";{c.open};'
            f'{c.high};{c.low};{c.close};{c.volume};2e12;"{c.open_time:%Y-%m-%d}T23:59:59.999Z"'
            for c in NEWEST_FIRST
        ],
    )


def cryptodatadownload() -> str:
    """Its times have changed from seconds to milliseconds."""
    rows = []
    for c in NEWEST_FIRST:
        time = f"{seconds(c)}{'000' if c.open_time.month > 5 else ''}.0"
        rows.append(f"{time},{c.open_time:%Y-%m-%d},BTC/USDT,{prices(c)},{c.volume},{c.volume * c.close},9")
    columns = "unix,date,symbol,open,high,low,close,Volume BTC,Volume USDT,tradecount"
    return table(f"https://www.CryptoDataDownload.com\n{columns}", rows)


def gemini() -> str:
    return table(
        "https://www.CryptoDataDownload.com\nUnix Timestamp,Date,Symbol,Open,High,Low,Close,Volume",
        [f"{seconds(c)},{c.open_time:%Y-%m-%d %H:%M:%S},BTCUSD,{prices(c)},{c.volume}" for c in NEWEST_FIRST],
    )


def kaggle() -> str:
    """Bitstamp's prices in many rows a day, NaN where nobody traded."""
    rows = []
    for c in CANDLES:
        for hour in range(24):
            first = c.open if hour == 0 else c.close
            values = f"{first},{c.high},{c.low},{c.close},{c.volume / 12},{c.close},{c.close}"
            row = "NaN,NaN,NaN,NaN,NaN,NaN,NaN" if hour % 2 else values
            rows.append(f"{seconds(c) + 3600 * hour},{row}")
    return table("Timestamp,Open,High,Low,Close,Volume_(BTC),Volume_(Currency),Weighted_Price", rows)


def binance_milliseconds(factor: int = 10**3) -> str:
    """data.binance.vision: no header."""
    rows = []
    for c in CANDLES:
        opening, closing = seconds(c) * factor, (seconds(c) + 86_400) * factor - 1
        rows.append(f"{opening},{prices(c)},{c.volume},{closing},{c.volume * c.close},9,5,5,0")
    return table("", rows)


def binance_microseconds() -> str:
    """As since 2025."""
    return binance_milliseconds(10**6)


def kraken() -> str:
    """OHLCVT: no header; the last field is the number of trades."""
    return table("", [f"{seconds(c)},{prices(c)},{c.volume},1021" for c in CANDLES])


def bitfinex() -> str:
    """The answer of the API, saved by pandas: numbers as names, and the close follows the open."""
    rows = [f"{seconds(c)}000,{c.open},{c.close},{c.high},{c.low},{c.volume}" for c in NEWEST_FIRST]
    return table("0,1,2,3,4,5", rows)


def coingecko() -> str:
    """The price at midnight, which is the close of the day before, and the price of now."""
    rows = [f"{c.open_time + DAY:%Y-%m-%d} 00:00:00 UTC,{c.close},2e12,{c.volume}" for c in CANDLES]
    return table("snapped_at,price,market_cap,total_volume", rows, "2025-07-01 13:45:02 UTC,1.0,2e12,5")


def tradingview() -> str:
    return table("time,open,high,low,close,Volume", [f"{seconds(c)},{prices(c)},{c.volume}" for c in CANDLES])


def offset_tradingview() -> str:
    local = [(c.open_time + timedelta(hours=2), c) for c in CANDLES]
    return table(
        "time,open,high,low,close,Volume,Volume MA",
        [f"{time:%Y-%m-%dT%H:%M:%S}+02:00,{prices(c)},{c.volume},NaN" for time, c in local],
    )


def stooq_polish() -> str:
    return table(
        "Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen",
        [f"{c.open_time:%Y-%m-%d},{prices(c)},{c.volume}" for c in CANDLES],
    ).replace("\n", "\r\n")


def german_excel() -> bytes:
    """A spreadsheet saved as CSV in Germany, with a line that tells Excel the separator, and a sum."""
    text = table(
        "sep=;\nDatum;Eröffnung;Hoch;Tief;Schluss;Volumen",
        [
            ";".join([f"{c.open_time:%d.%m.%Y}", *(f"{price:.2f}".replace(".", ",") for price in c[1:6])])
            for c in CANDLES
        ],
        ";;;;;",
        "Summe;;;;;95.362,50",
    )
    return text.replace("\n", "\r\n").encode("cp1252")


def unicode_text() -> bytes:
    """Excel's "Unicode text": UTF-16 with tabs."""
    rows = ["\t".join([f"{c.open_time:%d.%m.%Y}", *map(german, c[1:6])]) for c in CANDLES]
    return table("Datum\tEröffnung\tHoch\tTief\tSchluss\tVolumen", rows).encode("utf-16")


def metatrader() -> str:
    return table(
        "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
        [
            "\t".join([f"{c.open_time:%Y.%m.%d}", "00:00:00", *map(str, c[1:5]), "77", str(c.volume), "1500"])
            for c in CANDLES
        ],
    )


def metatrader_4() -> str:
    return table("", [f"{c.open_time:%Y.%m.%d},00:00,{prices(c)},{c.volume}" for c in CANDLES])


def nasdaq() -> str:
    return table(
        "Date,Close/Last,Volume,Open,High,Low",
        [
            f'{c.open_time:%m/%d/%Y},"${grouped(c.close)}",{c.volume},"${grouped(c.open)}","${grouped(c.high)}",'
            f'"${grouped(c.low)}"'
            for c in NEWEST_FIRST
        ],
    )


def dukascopy() -> str:
    return table(
        "Gmt time,Open,High,Low,Close,Volume",
        [f"{c.open_time:%d.%m.%Y} 00:00:00.000,{prices(c)},{c.volume}" for c in CANDLES],
    )


def blockchain() -> str:
    return table('"Timestamp","market-price"', [f'"{c.open_time:%Y-%m-%d %H:%M:%S}","{c.close}"' for c in CANDLES])


def fred() -> str:
    return table("observation_date,CBBTCUSD", [f"{c.open_time:%Y-%m-%d},{c.close}" for c in CANDLES], "2025-07-01,.")


def pandas_frame() -> bytes:
    frame = pd.DataFrame([c[1:6] for c in CANDLES], columns=["Open", "High", "Low", "Close", "Volume"])
    frame.insert(0, "Date", [c.open_time.date() for c in CANDLES])
    text = io.StringIO()
    frame.to_csv(text)
    return gzip.compress(text.getvalue().encode())


def british() -> str:
    """Years that were joined with `cat`, with a note below."""
    header = "Bitcoin in US dollars\n\nDate,Open,High,Low,Close"
    rows = [f"{c.open_time:%d/%m/%Y},{prices(c)}" for c in CANDLES]
    rows.insert(19, "Date,Open,High,Low,Close")
    return table(header, rows, "", "Source: my own broker; all prices are mid prices")


OPENING = "'Date' is the opening in UTC"
NEWEST = "the order is newest first, which is sorted"
THOUSANDS = "',' groups the digits of thousands"
CLOSES = "the close is the only price, so that the range of the forecast rests on closes alone"
KLINES = "without a header the columns are time, open, high, low, close, volume"
CDD = "line 1, 'https://www.CryptoDataDownload.com', is not part of the table"
GERMAN = "'Datum' is the opening in UTC; 'Schluss' is the close; 'Volumen' is the volume"
ASSUMPTIONS: dict[Callable[[], str | bytes], str] = {  # by what writes the file
    yahoo: f"{OPENING}; rows without a price are gaps (1, the first in line 77); there is no volume",
    yahoo_pasted: f"{OPENING}; 'Close Close price adjusted for splits.' is the close; {THOUSANDS}; there is no "
    f"volume; {NEWEST}",
    yfinance: OPENING,
    investing: f"{OPENING}; 'Price' is the close; 'Vol.' is the volume; '06/30/2025' is month/day/year; "
    f"{THOUSANDS}; {NEWEST}",
    investing_german: "'Datum' is the opening in UTC; 'Zuletzt' is the close; 'Vol.' is the volume; '30.06.2025' "
    f"is day/month/year; ',' is the decimal mark; {NEWEST}",
    coinmarketcap: f"'timeOpen' is the opening in UTC; {NEWEST}",
    cryptodatadownload: f"{CDD}; 'unix' is the opening in UTC; 'Volume BTC' is the volume; times are milliseconds "
    f"since 1970; times are seconds since 1970; {NEWEST}",
    gemini: f"{CDD}; 'Unix Timestamp' is the opening in UTC; times are seconds since 1970; {NEWEST}",
    kaggle: "'Timestamp' is the opening in UTC; 'Volume_(BTC)' is the volume; times are seconds since 1970; rows "
    "without a price are gaps (900, the first in line 3); 900 candles of 2:00:00 are joined to 75 days",
    binance_milliseconds: f"{KLINES}; times are milliseconds since 1970",
    binance_microseconds: f"{KLINES}; times are microseconds since 1970",
    kraken: f"{KLINES}; times are seconds since 1970",
    bitfinex: "line 1, '0,1,2,3,4,5', is not part of the table; without a header the columns are time, open, "
    f"close, high, low, volume; times are milliseconds since 1970; {NEWEST}",
    coingecko: "the price at a midnight (UTC) of 'snapped_at' is the close of the day before; 'price' is the "
    f"close; 'total_volume' is the volume; rows without a price are gaps (1, the first in line 77); {CLOSES}",
    tradingview: "times are seconds since 1970",
    offset_tradingview: "",
    stooq_polish: "'Data' is the opening in UTC; 'Zamkniecie' is the close; 'Wolumen' is the volume",
    german_excel: f"the text is Windows-1252, as in line 2; line 1, 'sep=;', is not part of the table; {GERMAN}; "
    "the last lines are not rows (1, the first is line 79); '17.04.2025' is day/month/year; ',' is the decimal "
    "mark",
    unicode_text: f"{GERMAN}; '17.04.2025' is day/month/year; ',' is the decimal mark",
    metatrader: "'<DATE>' and '<TIME>' are the opening in UTC; '<VOL>' is the volume",
    metatrader_4: KLINES,
    nasdaq: f"{OPENING}; 'Close/Last' is the close; '06/30/2025' is month/day/year; {THOUSANDS}; {NEWEST}",
    dukascopy: "'Gmt time' is the opening in UTC; '17.04.2025 00:00:00.000' is day/month/year",
    blockchain: f"'Timestamp' is the opening in UTC; 'market-price' is the close; {CLOSES}; there is no volume",
    fred: "'observation_date' is the opening in UTC; 'CBBTCUSD' is the close; rows without a price are gaps (1, "
    f"the first in line 77); {CLOSES}; there is no volume",
    pandas_frame: OPENING,
    british: f"line 1, 'Bitcoin in US dollars', is not part of the table; {OPENING}; lines that repeat the header "
    "are not rows (1); the last lines are not rows (1, the first is line 81); '17/04/2025' is day/month/year; "
    "there is no volume",
}
# By the currency of their pair, which has at most ten letters.
FILES = {writer.__name__.replace("_", "").upper()[:10]: writer for writer in ASSUMPTIONS}


def written(folder: Path, name: str) -> Path:
    content = FILES[name]()
    path = folder / f"{name}.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_as_its_site_means_it_and_one_line_says_what_was_assumed(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A date, a decimal mark or a column that is misread makes a forecast of another market."""
    path = written(tmp_path, name)
    days = list(CsvFile(str(path)).candles(Pair("BTC", "USD"), Interval.DAY_1, Span(FIRST, FIRST + DAYS * DAY)))
    assumed = ASSUMPTIONS[FILES[name]]
    assert caplog.messages == ([f"file:{path}: assumed that {assumed}"] if assumed else [])
    assert [day.open_time for day in days] == [candle.open_time for candle in CANDLES]
    for day, expected in zip(days, CANDLES, strict=True):
        assert day[1:5] == ((expected.close,) * 4 if CLOSES in assumed else expected[1:5])
        assert day.volume == pytest.approx(0 if "there is no volume" in assumed else expected.volume, rel=0.01)


def test_every_one_of_these_files_trains(tmp_path: Path) -> None:
    """Reading is not enough: the gate must accept what was read, for the files of closes too."""
    for name in FILES:
        written(tmp_path, name)
    run = forked_training(
        *("--pair", ",".join(f"BTC/{name}" for name in FILES), "--source", f"file:{tmp_path}/{{quote}}.csv"),
        *("--until", "2025-06-30", "--days", "60", "--output", str(tmp_path / "model.pkl")),
        environ={},
    )
    assert run.code == 0, run.errors
    trained = store.load(tmp_path / "model.pkl").card.pairs
    print(f"realistic files that train: {len(trained)} of {len(FILES)}")  # noqa: T201 the figure; pytest -s shows it
    assert [pair.quote for pair in trained] == list(FILES)
    assert {card.candles for card in trained.values()} == {60}
