"""The endpoints of a folder of models whose lists come from its index: the others are those of `model`, of one file.

* ``catalogue``: what one index says, and the files that are in memory
* ``editions``: the index that is served now, and its replacement without a restart
* ``endpoint``: what the endpoints share: a list of all pairs, or the answer of the file of one pair
"""
