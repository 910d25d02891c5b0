"""What the adapters of exchanges share: HTTP and websockets.

``source``
    The source of an exchange: what does not depend on the exchange.
``session``, ``retry``, ``limits``, ``pause``
    Bounded answers, the repetitions of a request, rate budgets, and the time before which an exchange has asked this
    process to wait.
``wire``, ``paging``
    Reading JSON, texts of an exchange as a log may contain them, and asking for the next page.
``stream``, ``numbered``
    The live stream of an exchange: what does not depend on the exchange; minutes of numbered trades.
"""
