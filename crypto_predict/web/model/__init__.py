"""The endpoints of a model file: each module with an ``OPERATION`` is one, with question, answer and documentation.

* ``answers``: the predictions of a model and what each rests on
* ``basis``: model, newest candle and measured calibration behind an answer, in words, too
* ``touches``: whether a price is touched until some time, and how such answers came about
* ``snapshots``: the answers of a model, their validators and their expiry
* ``freshness``: whether model and prices are new enough
* ``endpoint``: what the endpoints share: parameters, headers, errors, examples
"""
