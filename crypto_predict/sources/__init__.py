"""The sources of past candles. Each implements `market.ports.CandleSource`.

``alpaca``, ``binance``, ``poloniex``
    The exchanges. Each has a folder with its settings and its wire format, and one line in `catalog`.
``csv_file``
    ``file:PATH``: CSV files as exchanges, data sites and spreadsheets write them.
``simulated``
    A deterministic market for machines without a network.
``symbols``
    The names of pairs at each exchange.
``network``
    What the adapters of exchanges share: HTTP and websockets.
``address``
    The address of an exchange, which an environment variable may replace.
``side_by_side``
    Questions at the same time, with results and log lines in their order.
``stored``
    ``store``: candles that ``collect.py`` has stored.
``catalog``
    Opens sources by their names in ``--source``.
"""
