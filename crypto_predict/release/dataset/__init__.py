"""The dataset that a repository publishes as its GitHub Release ``dataset``: the state is the release itself.

GitHub cannot replace a file of a release, only delete and rename. So what replaces a file is uploaded beside it, under
a pending name, and the manifest last of all: once that is whole, the run has happened, and the next one finishes it if
it was killed. At any moment each file that the newest manifest describes is there, under its name or the pending one.

* ``assets``: a GitHub Release and its files
* ``published``: which files the release describes, under which names; what a killed run has left is finished or undone
* ``restoring``: ``restore-dataset``, the newest months as an exported folder
* ``publishing``: ``publish-dataset``, an exported folder as files of the release
* ``silences``: the register: when a source had no candle of any pair
* ``notes``: the page of the release
"""
