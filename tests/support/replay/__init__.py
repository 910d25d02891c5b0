"""A server on loopback with the wire formats of the exchanges. Tests use the real SDKs over real HTTP.

* ``server``: the server, the requests it received, and the faults of any server
* ``alpaca``: Alpaca's crypto bars
* ``binance``: Binance's klines and tops of the book
* ``poloniex``: Poloniex's candles and tickers
* ``deribit``: Deribit's volatility index
* ``motion``: a market in motion, of which the servers have what has happened up to now
* ``streams``: websockets on that server, and their faults
* ``minutes``: a market of minutes, and a quick policy to read it
* ``reading``: the live stream of an exchange in motion, read by the real feed
* ``venue``: the contract of ``alpaca``, ``binance`` and the other exchanges: the market of each on that server
* ``exchanges``: the venues of all exchanges, for what holds for each of them
"""
