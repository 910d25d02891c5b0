"""Files of prices as people have them: exports of exchanges and data sites, pasted tables, spreadsheets.

Each is written here in the notation of its site, from the same days.
"""

import gzip
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from crypto_predict.baked import store
from crypto_predict.market import Candle, Interval, Pair, Span
from crypto_predict.sources.csv_file import CsvFile
from tests.support.histories import wandering
from tests.support.processes import forked_training

DAYS = 75  # too few for a backtest, which would take most of the time
FIRST = datetime(2025, 4, 17, tzinfo=UTC)
DAY = timedelta(days=1)


def candle(day: int) -> Candle:
    first, close = round(wandering(day - 1), 2), round(wandering(day), 2)
    high, low = round(max(first, close) * 1.01, 2), round(min(first, close) * 0.99, 2)
    return Candle(FIRST + day * DAY, first, high, low, close, 1_234.5 + day)


CANDLES = [candle(day) for day in range(DAYS)]
NEWEST_FIRST = CANDLES[::-1]


def file(
    assumed: str,
    header: str,
    row: Callable[[Candle], str],
    *after: str,
    candles: Sequence[Candle] = CANDLES,
    encode: Callable[[str], bytes] = str.encode,
) -> tuple[bytes, str]:
    """Return the content of a file, and what is assumed."""
    return encode("\n".join([*([header] if header else []), *map(row, candles), *after, ""])), assumed


def grouped(number: float) -> str:
    return f"{number:,.2f}"


def german(number: float) -> str:
    return grouped(number).translate(str.maketrans(",.", ".,"))


def day(candle: Candle) -> str:
    return f"{candle.open_time:%Y-%m-%d}"


def seconds(candle: Candle) -> int:
    return int(candle.open_time.timestamp())


def prices(candle: Candle) -> str:
    return f"{candle.open},{candle.high},{candle.low},{candle.close}"


def quoted(candle: Candle, write: Callable[[float], str]) -> str:
    """Return close, open, high and low, each in quotes."""
    return ",".join(f'"{write(price)}"' for price in (candle.close, *candle[1:4]))


def klines(candle: Candle, factor: int) -> str:
    opening, closing = seconds(candle) * factor, (seconds(candle) + 86_400) * factor - 1
    return f"{opening},{prices(candle)},{candle.volume},{closing},{candle.volume * candle.close},9,5,5,0"


def hours(candle: Candle) -> str:
    """Return 24 rows of a day, of which every second one is without a price."""
    rows = []
    for hour in range(24):
        values = f"{candle.close if hour else candle.open},{candle.high},{candle.low},{candle.close},"
        traded = f"{values}{candle.volume / 12},{candle.close},{candle.close}"
        rows.append(f"{seconds(candle) + 3600 * hour},{'NaN,NaN,NaN,NaN,NaN,NaN,NaN' if hour % 2 else traded}")
    return "\n".join(rows)


def british(candle: Candle) -> str:
    """Return a row of years that were joined with `cat`."""
    again = "Date,Open,High,Low,Close\n" if candle is CANDLES[19] else ""
    return f"{again}{candle.open_time:%d/%m/%Y},{prices(candle)}"


OPENING = "'Date' is the opening in UTC"
NEWEST = "the order is newest first, which is sorted"
THOUSANDS = "',' groups the digits of thousands"
CLOSES = "the close is the only price, so that the range of the forecast rests on closes alone"
KLINES = "without a header the columns are time, open, high, low, close, volume"
SITE = "https://www.CryptoDataDownload.com"
CDD = f"line 1, '{SITE}', is not part of the table"
GERMAN = "'Datum' is the opening in UTC; 'Schluss' is the close; 'Volumen' is the volume"
FILES = {  # by the currency of their pair, which has at most ten letters
    "YAHOO": file(  # Yahoo Finance, some of whose tables have no volume
        f"{OPENING}; rows without a price are gaps (1, the first in line 77); there is no volume",
        "Date,Open,High,Low,Close,Adj Close,Volume",
        lambda c: f"{day(c)},{prices(c)},{c.close},",
        "2025-07-01,,,,,,",
    ),
    "YAHOOPASTE": file(  # the table of Yahoo's page, pasted into a spreadsheet and saved as text
        f"{OPENING}; 'Close Close price adjusted for splits.' is the close; {THOUSANDS}; there is no volume; {NEWEST}",
        "Date\tOpen\tHigh\tLow\tClose Close price adjusted for splits.\tAdj Close Adjusted close price adjusted for "
        "splits and dividend and/or capital gain distributions.\tVolume",
        lambda c: "\t".join([f"{c.open_time:%b %-d, %Y}", *map(grouped, c[1:5]), grouped(c.close), "-"]),
        candles=NEWEST_FIRST,
    ),
    "YFINANCE": file(  # the header of three lines that yfinance's data frames have
        OPENING,
        "Price,Close,High,Low,Open,Volume\nTicker,BTC-USD,BTC-USD,BTC-USD,BTC-USD,BTC-USD\nDate,,,,,",
        lambda c: f"{day(c)},{c.close},{c.high},{c.low},{c.open},{c.volume}",
    ),
    "INVESTING": file(
        f"{OPENING}; 'Price' is the close; 'Vol.' is the volume; '06/30/2025' is month/day/year; {THOUSANDS}; {NEWEST}",
        '\ufeff"Date","Price","Open","High","Low","Vol.","Change %"',
        lambda c: f'"{c.open_time:%m/%d/%Y}",{quoted(c, grouped)},"{c.volume / 1000:.2f}K","-0.41%"',
        candles=NEWEST_FIRST,
    ),
    "INVESTINGD": file(
        "'Datum' is the opening in UTC; 'Zuletzt' is the close; 'Vol.' is the volume; '30.06.2025' is day/month/year; "
        f"',' is the decimal mark; {NEWEST}",
        '\ufeff"Datum","Zuletzt","Eröffn.","Hoch","Tief","Vol.","+/- %"',
        lambda c: f'"{c.open_time:%d.%m.%Y}",{quoted(c, german)},"{german(c.volume / 1000)}K","-0,41%"',
        candles=NEWEST_FIRST,
    ),
    "CMC": file(  # CoinMarketCap
        f"'timeOpen' is the opening in UTC; {NEWEST}",
        "timeOpen;timeClose;timeHigh;timeLow;name;open;high;low;close;volume;marketCap;timestamp",
        lambda c: (
            f'"{day(c)}T00:00:00.000Z";"{day(c)}T23:59:59.999Z";"";"";"2781";{prices(c).replace(",", ";")};{c.volume};'
            f'2e12;"{day(c)}T23:59:59.999Z"'
        ),
        candles=NEWEST_FIRST,
    ),
    "CDD": file(  # CryptoDataDownload, whose times have changed from seconds to milliseconds
        f"{CDD}; 'unix' is the opening in UTC; 'Volume BTC' is the volume; times are milliseconds since 1970; "
        f"times are seconds since 1970; {NEWEST}",
        f"{SITE}\nunix,date,symbol,open,high,low,close,Volume BTC,Volume USDT,tradecount",
        lambda c: (
            f"{seconds(c)}{'000' if c.open_time.month > 5 else ''}.0,{day(c)},BTC/USDT,{prices(c)},{c.volume},"
            f"{c.volume * c.close},9"
        ),
        candles=NEWEST_FIRST,
    ),
    "GEMINI": file(
        f"{CDD}; 'Unix Timestamp' is the opening in UTC; times are seconds since 1970; {NEWEST}",
        f"{SITE}\nUnix Timestamp,Date,Symbol,Open,High,Low,Close,Volume",
        lambda c: f"{seconds(c)},{c.open_time:%Y-%m-%d %H:%M:%S},BTCUSD,{prices(c)},{c.volume}",
        candles=NEWEST_FIRST,
    ),
    "KAGGLE": file(  # Bitstamp's prices in many rows a day, NaN where nobody traded
        "'Timestamp' is the opening in UTC; 'Volume_(BTC)' is the volume; times are seconds since 1970; rows without a "
        "price are gaps (900, the first in line 3); 900 candles of 2:00:00 are joined to 75 days",
        "Timestamp,Open,High,Low,Close,Volume_(BTC),Volume_(Currency),Weighted_Price",
        hours,
    ),
    # data.binance.vision, until 2024 and since 2025
    "BINANCE": file(f"{KLINES}; times are milliseconds since 1970", "", lambda c: klines(c, 10**3)),
    "BINANCEMU": file(f"{KLINES}; times are microseconds since 1970", "", lambda c: klines(c, 10**6)),
    "KRAKEN": file(  # OHLCVT: the last field is the number of trades
        f"{KLINES}; times are seconds since 1970", "", lambda c: f"{seconds(c)},{prices(c)},{c.volume},1021"
    ),
    "BITFINEX": file(  # the answer of the API, saved by pandas: numbers as names, and the close follows the open
        "line 1, '0,1,2,3,4,5', is not part of the table; without a header the columns are time, open, close, high, "
        f"low, volume; times are milliseconds since 1970; {NEWEST}",
        "0,1,2,3,4,5",
        lambda c: f"{seconds(c)}000,{c.open},{c.close},{c.high},{c.low},{c.volume}",
        candles=NEWEST_FIRST,
    ),
    "COINGECKO": file(  # the price at midnight, which is the close of the day before, and the price of now
        "the price at a midnight (UTC) of 'snapped_at' is the close of the day before; 'price' is the close; "
        f"'total_volume' is the volume; rows without a price are gaps (1, the first in line 77); {CLOSES}",
        "snapped_at,price,market_cap,total_volume",
        lambda c: f"{c.open_time + DAY:%Y-%m-%d} 00:00:00 UTC,{c.close},2e12,{c.volume}",
        "2025-07-01 13:45:02 UTC,1.0,2e12,5",
    ),
    "TRADING": file(  # TradingView
        "times are seconds since 1970",
        "time,open,high,low,close,Volume",
        lambda c: f"{seconds(c)},{prices(c)},{c.volume}",
    ),
    "TRADINGISO": file(  # with the offset of the user
        "",
        "time,open,high,low,close,Volume,Volume MA",
        lambda c: f"{c.open_time + timedelta(hours=2):%Y-%m-%dT%H:%M:%S}+02:00,{prices(c)},{c.volume},NaN",
    ),
    "STOOQ": file(
        "'Data' is the opening in UTC; 'Zamkniecie' is the close; 'Wolumen' is the volume",
        "Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen",
        lambda c: f"{day(c)},{prices(c)},{c.volume}",
        encode=lambda text: text.replace("\n", "\r\n").encode(),
    ),
    "EXCEL": file(  # saved as CSV in Germany, with a line that tells Excel the separator, and a sum
        f"the text is Windows-1252, as in line 2; line 1, 'sep=;', is not part of the table; {GERMAN}; the last lines "
        "are not rows (1, the first is line 79); '17.04.2025' is day/month/year; ',' is the decimal mark",
        "sep=;\nDatum;Eröffnung;Hoch;Tief;Schluss;Volumen",
        lambda c: ";".join([f"{c.open_time:%d.%m.%Y}", *(f"{price:.2f}".replace(".", ",") for price in c[1:6])]),
        ";;;;;",
        "Summe;;;;;95.362,50",
        encode=lambda text: text.replace("\n", "\r\n").encode("cp1252"),
    ),
    "UNICODE": file(  # Excel's "Unicode text": UTF-16 with tabs
        f"{GERMAN}; '17.04.2025' is day/month/year; ',' is the decimal mark",
        "Datum\tEröffnung\tHoch\tTief\tSchluss\tVolumen",
        lambda c: "\t".join([f"{c.open_time:%d.%m.%Y}", *map(german, c[1:6])]),
        encode=lambda text: text.encode("utf-16"),
    ),
    "METAFIVE": file(  # MetaTrader 5, and then 4
        "'<DATE>' and '<TIME>' are the opening in UTC; '<VOL>' is the volume",
        "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
        lambda c: "\t".join([f"{c.open_time:%Y.%m.%d}", "00:00:00", *map(str, c[1:5]), "77", str(c.volume), "1500"]),
    ),
    "METAFOUR": file(KLINES, "", lambda c: f"{c.open_time:%Y.%m.%d},00:00,{prices(c)},{c.volume}"),
    "NASDAQ": file(
        f"{OPENING}; 'Close/Last' is the close; '06/30/2025' is month/day/year; {THOUSANDS}; {NEWEST}",
        "Date,Close/Last,Open,High,Low,Volume",
        lambda c: f"{c.open_time:%m/%d/%Y},{quoted(c, lambda price: f'${grouped(price)}')},{c.volume}",
        candles=NEWEST_FIRST,
    ),
    "DUKASCOPY": file(
        "'Gmt time' is the opening in UTC; '17.04.2025 00:00:00.000' is day/month/year",
        "Gmt time,Open,High,Low,Close,Volume",
        lambda c: f"{c.open_time:%d.%m.%Y} 00:00:00.000,{prices(c)},{c.volume}",
    ),
    "BLOCKCHAIN": file(
        f"'Timestamp' is the opening in UTC; 'market-price' is the close; {CLOSES}; there is no volume",
        '"Timestamp","market-price"',
        lambda c: f'"{c.open_time:%Y-%m-%d %H:%M:%S}","{c.close}"',
    ),
    "FRED": file(
        "'observation_date' is the opening in UTC; 'CBBTCUSD' is the close; rows without a price are gaps (1, the "
        f"first in line 77); {CLOSES}; there is no volume",
        "observation_date,CBBTCUSD",
        lambda c: f"{day(c)},{c.close}",
        "2025-07-01,.",
    ),
    "PANDAS": (
        gzip.compress(
            pd.DataFrame(
                [(c.open_time.date(), *c[1:6]) for c in CANDLES],
                columns=["Date", "Open", "High", "Low", "Close", "Volume"],
            )
            .to_csv()
            .encode()
        ),
        OPENING,
    ),
    "BRITISH": file(  # with a note below
        f"line 1, 'Bitcoin in US dollars', is not part of the table; {OPENING}; lines that repeat the header are not "
        "rows (1); the last lines are not rows (1, the first is line 81); '17/04/2025' is day/month/year; there is no "
        "volume",
        "Bitcoin in US dollars\n\nDate,Open,High,Low,Close",
        british,
        "",
        "Source: my own broker; all prices are mid prices",
    ),
}


def written(folder: Path, name: str) -> Path:
    path = folder / f"{name}.csv"
    path.write_bytes(FILES[name][0])
    return path


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_as_its_site_means_it_and_one_line_says_what_was_assumed(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A date, a decimal mark or a column that is misread makes a forecast of another market."""
    path = written(tmp_path, name)
    days = list(CsvFile(str(path)).candles(Pair("BTC", "USD"), Interval.DAY_1, Span(FIRST, FIRST + DAYS * DAY)))
    _, assumed = FILES[name]
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
