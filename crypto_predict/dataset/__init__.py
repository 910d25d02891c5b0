"""A folder of the market's candles: one file a source, pair, interval and month, and a manifest that describes them.

* ``layout``: months, and the paths of their files
* ``manifest``: what is known of each file; written last, so that a killed export loses nothing
* ``tables``: a month as a table of pyarrow, with a verdict for every opening, and the digest of its candles
* ``files``: tables as the bytes of Parquet or CSV, read within bounds: a file may be damaged or hostile
* ``folder``: an exported folder, open for reading
"""
