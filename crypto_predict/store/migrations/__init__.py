"""The schema of a market database and its history: each module of `versions` is one step, applied by Alembic.

* ``env``: what Alembic executes
* ``versions``: the steps
* ``single_table``: how the one table of candles became partitions

An applied step is never edited: a change of the tables is a new step.
"""
