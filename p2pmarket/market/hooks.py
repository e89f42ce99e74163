"""One command per event: run without a shell, the event as JSON on stdin, ids in the environment, a time limit.

Nothing that a peer wrote is ever an argument. A command that is too slow is ended; events that come faster than the
command finishes wait in a bounded queue and are dropped and counted beyond it. The exit code is logged, not obeyed.
"""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Sequence

import msgspec
import trio

from p2pmarket.api import types as t
from p2pmarket.limits import HOOK_QUEUE, HOOK_SECONDS
from p2pmarket.market.events import Bus, Told

log = logging.getLogger("p2pmarket.hook")


async def run_hook(
    command: Sequence[str], bus: Bus, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Run `command` for every event from now on, one after another."""
    listener, told = bus.listen()
    queue, waiting = trio.open_memory_channel[t.Event](HOOK_QUEUE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_run_all, command, waiting)
        task_status.started()
        while True:
            try:
                await _pass_on(told, queue)
            finally:
                bus.leave(listener)
            log.warning("too many events at once: the hook has missed some")
            listener, told = bus.listen()


async def _pass_on(told: trio.MemoryReceiveChannel[Told], queue: trio.MemorySendChannel[t.Event]) -> None:
    """Queue what is told; ends when the bus cuts us off."""
    async for one in told:
        if one.event.seq is None:
            continue
        try:
            queue.send_nowait(one.event)
        except trio.WouldBlock:
            log.warning("the hook is too slow: event %s is dropped", one.event.seq)


async def _run_all(command: Sequence[str], waiting: trio.MemoryReceiveChannel[t.Event]) -> None:
    async for event in waiting:
        await _run_once(command, event)


async def _run_once(command: Sequence[str], event: t.Event) -> None:
    environment = {**os.environ, "MARKET_EVENT": event.type, "MARKET_ID": event.id or "", "MARKET_SEQ": str(event.seq)}
    with trio.move_on_after(HOOK_SECONDS) as limit:
        try:
            done = await trio.run_process(
                list(command),
                stdin=msgspec.json.encode(event) + b"\n",
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                check=False,
            )
        except OSError as error:
            log.warning("the hook cannot be run: %s", error.strerror)
            return
        if done.returncode:
            log.warning("the hook ended with code %s", done.returncode)
    if limit.cancelled_caught:
        log.warning("the hook took longer than %s s and was ended", HOOK_SECONDS)
