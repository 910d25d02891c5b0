"""The record of released forecasts: the ledger, its entries, and the live scores they give."""
