"""REST beside the streams: the newest candles, the history, and gaps.

* ``filler``: fetches what a stream missed and what is older
* ``schedule``: what is fetched from one source, and when
* ``comparison``: compares the candles of a stream with those of REST
"""
