"""What a release must meet: the quality of its history, its calibration, and the champion it replaces."""
