"""What operators need. A module with an `Operation` has endpoints: their answers and documentation.

* ``metrics``: figures for Prometheus
* ``access_log``: one line a request
* ``startup``: the messages at start
"""
