"""What a release must meet.

* ``quality``: faults of a history
* ``verdict``: faults of the calibration, and the comparison with the champion that the release replaces
* ``thresholds``: the limits of both
"""
