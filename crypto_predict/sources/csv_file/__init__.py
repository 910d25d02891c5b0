"""``file:PATH``: candles from a CSV file, as exchanges, data sites and spreadsheets write it.

``lines``
    The lines of a file as text: bounded, decompressed, decoded.
``dialect``
    Where the table begins, and what separates its fields.
``columns``
    Which field is the time, the open and so on, by the names of the header or without a header.
``dates``, ``numbers``
    Times and numbers in the notations of several countries. The whole file decides between two readings.
``reading``
    All of them together: a file becomes candles, or every fault of it is reported.
``source``
    The file as a source of daily candles.
"""

from crypto_predict.sources.csv_file.lines import MOST_LINES
from crypto_predict.sources.csv_file.reading import MOST_FAULTS, Row, read_csv
from crypto_predict.sources.csv_file.source import CsvFile

__all__ = ["MOST_FAULTS", "MOST_LINES", "CsvFile", "Row", "read_csv"]
