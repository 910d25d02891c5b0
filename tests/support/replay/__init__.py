"""A server on loopback that speaks the exchanges' wire formats, so that tests ask it with the real SDKs over real HTTP.

* ``server``: the server, what it was asked, and the faults that any server may have
* ``alpaca``: Alpaca's crypto bars and the faults of their format
* ``minutes``: a market of minutes served that way, and the real source that reads it
"""
