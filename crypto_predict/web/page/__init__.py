"""The page of the product: its HTML, its JSON documents and its built files.

* ``documents``: a model as the documents that the scripts read; ``page/scripts/types.d.ts`` has their formats
* ``html``: a model as the text of the page, for readers without scripts too
* ``words``: forecast and record as sentences
* ``releases``: earlier releases, from the ledger
* ``feed``: the same as an Atom feed
* ``assets``: the built scripts and styles
* ``pages``: what the server has rendered, by address
* ``release_pages``: the same for past releases and the feed
* ``routes``: the addresses, in the Flask application

``documents`` and ``html`` take plain values, so the static export uses them without a server.
"""
