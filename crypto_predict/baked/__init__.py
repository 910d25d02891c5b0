"""The model file and its ledger, which training hands to serving.

* ``models``: the models that were tested beside ours, and their scores
* ``schema``: the content of the model file, as frozen dataclasses of plain values
* ``plain``: those dataclasses as dicts and lists, and back
* ``tables``: their tables of numbers in fewer bytes
* ``store``: writing and safe loading of ``model.pkl``
* ``index``: a folder of models and its ``index.json``
* ``evaluation``: the forecast for any day or instant, in plain Python
* ``live``: the hours and minutes that were forecast since, by which the forecast is moved on
* ``distribution``: the probability of a price, and the price of a probability, from a few quantiles
* ``touches``: the probability that a price is touched on the way, from that of a close beyond it
* ``extremes``: the highest and the lowest price until any day or instant
* ``ledger``: the ledger of released forecasts, ``model.ledger.jsonl``
* ``schedule``: the next training and the failure of the last one, ``model.training.json``
* ``files``: atomic writes and locks
"""
