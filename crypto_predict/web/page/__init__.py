"""The page of the product: its HTML, its JSON documents and its built files.

* ``documents``: the documents that the scripts read, each a dataclass
* ``html``: a model as the text of the page, for readers without scripts too
* ``words``: forecast and record as sentences
* ``comparison``: the models of a pair, the best first, and who is better than whom in words
* ``hindcasts``: what a model forecast in the past, beside what followed
* ``releases``: past releases, from the ledger
* ``feed``: the same as an Atom feed
* ``assets``: the built scripts and styles
* ``outages``: the register of outages, as pages and as an Atom feed
* ``pages``: what the server has rendered, by address
* ``routes``: the addresses, in the Flask application

``documents``, ``html`` and ``feed`` take plain values, so the static export uses them without a server.
"""
