"""What operators need. The module ``health`` has endpoints.

* ``metrics``: figures for Prometheus
* ``access_log``: one line a request
* ``startup``: the messages at start
"""
