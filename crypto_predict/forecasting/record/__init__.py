"""The record of released forecasts: how they compare with the prices that followed.

* ``record``: a ledger, its forecasts and outcomes, and the scorecard made of them
* ``tally``: the figures of one pair, updated entry by entry
"""
