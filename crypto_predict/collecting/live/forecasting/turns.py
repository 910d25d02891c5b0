"""Work that is done piece by piece in a thread, and leaves the machine to the streams."""

from collections.abc import Callable

from crypto_predict.market.clock import Clock
from crypto_predict.threads import in_thread

LOOK = 1.0  # seconds from one look for work to the next


async def in_turns(work: Callable[[], bool], clock: Clock, name: str) -> None:
    """Do one piece of work after the other, for ever. The machine rests as long as each one took.

    `work` does the next piece, and returns whether there was one.
    """
    while True:
        began = clock.monotonic()
        is_done = await in_thread(work, name)
        await clock.sleep(clock.monotonic() - began if is_done else LOOK)
