"""The training pipeline: settings in, a model file and a report out.

* ``pipeline``: history, fit and baking for every pair
* ``card``: the model card
* ``report``: what a run tells, as a table and as JSON
"""
