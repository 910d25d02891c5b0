"""Alpaca Markets."""
