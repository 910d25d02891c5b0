"""What operators need: freshness, metrics, the access log, the messages at start."""
