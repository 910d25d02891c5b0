"""An HTTP/1.1 server in front of a WSGI application. It imports ``errors`` and ``logs`` only.

* ``server``: the event loop, and the graceful stop
* ``pool``: time limits, scheduling of requests, eviction
* ``connections``: one client's connection, as a state machine
* ``parser``, ``request_head``: bytes to requests, by RFC 9112
"""
