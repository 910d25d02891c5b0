"""The sources of past candles. Each implements `market.ports.CandleSource`.

``alpaca``, ``binance``, ``poloniex``
    The exchanges. Each has a folder with its settings and its wire format, and one line in `catalog`.
``csv_file``
    ``file:PATH``: CSV files as exchanges, data sites and spreadsheets write them.
``simulated``
    A deterministic market for machines without a network.
``symbols``
    The names of pairs at each exchange.
``address``, ``session``, ``retry``, ``limits``, ``pause``
    HTTP for all exchanges: addresses, bounded answers, one retry policy, rate budgets, and the time before which an
    exchange has asked this process to wait.
``side_by_side``
    Questions at the same time, with results and log lines in their order.
``endpoint``, ``answer_clock``, ``wire``, ``paging``
    What the adapters of exchanges share: a request and its repetitions, the exchange's clock, reading JSON, joining
    pages.
``catalog``
    Opens sources by their names in ``--source``.
"""
