"""How fast serving is, as ratios to its peers in one run: ``make bench``.

* ``load``: a small HTTP client that keeps a server busy and times every answer
* ``server``: starting a server, waiting for its first answer, asking for its memory
* ``naive``: the peer that the usual tutorial ships, a pickled Prophet asked for each request
* ``bare``: the peer that does nothing, one Flask route that returns a constant
* ``models``: both models of one comparison, trained on the same history
* ``image``: the image against that of the tutorial
* ``images``: what images add to their base
* ``figures``: what is measured, and the goals
"""
