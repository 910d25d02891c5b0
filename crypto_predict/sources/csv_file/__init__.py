"""``file:PATH``: candles from a CSV file, as exchanges, data sites and spreadsheets write it.

* ``lines``: the lines of a file as text, bounded, decompressed, decoded; and their fields
* ``notations``: times and numbers in the notations of several countries; the whole file decides between two readings
* ``table``: where the table begins, what separates its fields, and which of them is the time, the open and so on
* ``reading``: all of them together; a file becomes a source of candles, or every fault of it is reported
"""

from crypto_predict.sources.csv_file.lines import MOST_LINES
from crypto_predict.sources.csv_file.reading import MOST_FAULTS, CsvFile, read_csv

__all__ = ["MOST_FAULTS", "MOST_LINES", "CsvFile", "read_csv"]
