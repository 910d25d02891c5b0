"""What the adapters of exchanges share: HTTP and websockets.

``source``
    The source of an exchange: what does not depend on the exchange.
``session``, ``retry``, ``limits``, ``pause``
    Bounded answers, the repetitions of a request, rate budgets, and the time before which an exchange has asked this
    process to wait.
``wire``, ``paging``, ``answer_clock``
    Reading JSON, joining pages, and the exchange's clock.
``websocket``, ``trades``, ``numbered``
    Connecting to a live stream, and why one has ended; the streams of exchanges that send trades; minutes of numbered
    trades.
``sanitize``
    Texts of an exchange, as a log may contain them.
"""
