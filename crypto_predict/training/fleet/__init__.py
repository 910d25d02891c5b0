"""Many pairs, each with a model file of its own in one folder, and the index of that folder.

* ``run``: the whole run: what is missing is trained, then the release is committed
* ``task``: the training of one pair
* ``progress``: what a run has finished, kept for the same command after a kill
* ``workers``: processes that train pairs side by side
* ``release``: a folder of models, put in place and committed by its index
* ``merge``: the folders of several shards, merged into one
* ``report``: what the command prints
"""
