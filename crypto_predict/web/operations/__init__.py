"""What operators need.

* ``freshness``: whether model and prices are new enough
* ``metrics``: figures for Prometheus
* ``access_log``: one line a request
* ``startup``: the messages at start
"""
