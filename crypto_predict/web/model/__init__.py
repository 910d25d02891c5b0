"""The answers of a model file.

* ``questions``: query strings and paths to values
* ``answers``: values
* ``rendering``: values to bytes
* ``probability``: how probable a price is, and what that is based on
* ``snapshots``: the answers of a model, their validators and their expiry
"""
