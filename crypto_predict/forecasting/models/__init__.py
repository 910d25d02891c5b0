"""Models that are tested beside the combined forecast, ours and other people's.

* ``contract``: what a model is, and what its answers must be
* ``gaussian``, ``garch``, ``deribit``, ``autoregression``, ``smoothing``: the models that are built in
* ``rival``, ``host``: a file with a model, in a process of its own, and the program of that process
* ``published``: forecasts that somebody has published
* ``calibration``: ranges for models that forecast points
"""
