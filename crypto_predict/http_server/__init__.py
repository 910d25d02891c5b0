"""An HTTP/1.1 server in front of a WSGI application. It imports ``errors`` and ``logs`` only.

* ``server``: the event loop, and the graceful stop
* ``connections``: clients' connections as state machines; their time limits, the schedule of their requests, eviction
* ``parser``: bytes to requests, by RFC 9112
"""
