"""Poloniex."""
