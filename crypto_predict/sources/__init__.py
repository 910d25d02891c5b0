"""The sources of past candles and of live streams. Each implements `market.ports.CandleSource`, or `CandleFeed`.

``catalog``
    The list of the exchanges, and everything that ``--source`` may name.
``exchange``
    What the adapters of one exchange share with everything that names it: id, symbols, addresses, keys, limits.
``network``
    What the adapters of exchanges share: HTTP and websockets.
``csv_file``
    ``file:PATH``: CSV files as exchanges, data sites and spreadsheets write them.
``exported``
    ``file:FOLDER``: a folder that ``collect.py --export`` has written.
``stored``
    ``store``: candles that ``collect.py`` has stored.
``deribit``
    The volatility index of Deribit, which a model uses.
``simulated``
    A deterministic market for machines without a network.
``side_by_side``
    Questions at the same time, with results and log lines in their order.

Each other folder is an exchange, with its `Exchange` and its adapters for REST and for the stream.
"""
