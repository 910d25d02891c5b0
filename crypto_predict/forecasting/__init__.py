"""From a checked history to the numbers that are baked.

* ``prophet_fit``: Prophet on log price, and its fitted curve as plain numbers
* ``bands``: the central interval, in the sample and by horizon
* ``forecast``: both together, with the level corrected to the last known price
"""
