"""Services that outlive a full disk: what fails because nothing can be saved is tried again, and said once.

All that a service needs to go on is in the ledger, so it simply begins anew. Any other error is a fault of ours and
ends the daemon loudly.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import trio

from p2pmarket.errors import StoreError, Unavailable

RETRY_SECONDS = 5
log = logging.getLogger("p2pmarket.market")


async def keep_running(name: str, service: Callable[[], Awaitable[None]]) -> None:
    """Run `service` until it ends by itself; after an error of the store, run it again a little later."""
    while True:
        try:
            await service()
        except* (StoreError, Unavailable) as group:
            log.warning("%s waits for the disk: %s", name, _first(group))
        else:
            return
        await trio.sleep(RETRY_SECONDS)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
