"""The stream of each source: kept connected, judged, and handed to the writer.

* ``supervisor``: keeps the stream of one source connected
* ``stream``: routes each event of a stream: candles to the writer, quotes to the book, faults to quarantine
* ``heartbeats``: when a stream was connected
* ``quotes``: the top of the book of each pair, once a minute
* ``ticks``: candles built from ticks
"""
