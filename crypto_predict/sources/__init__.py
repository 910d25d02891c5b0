"""Where history comes from: one port, one file an exchange, and the table that opens them by name.

* ``port``: what every source can do
* ``retry``: the one policy for timeouts, waiting and giving up
* ``session``: HTTP bounded in time and size, its failures told in our own words
* ``alpaca``: Alpaca's crypto bars through the official SDK, without keys
* ``csv_file``: ``file:PATH``, CSV or CSV.gz; ``csv_columns``: which of its columns holds what
* ``simulated``: a deterministic market for machines that reach no exchange
* ``catalog``: names as written in ``--source`` to sources
"""
