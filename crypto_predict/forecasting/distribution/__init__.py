"""Volatility and the 80 % interval."""
