"""Types are worked out while the daemon has one thread: where two meet at a first use, msgspec 0.22 can crash."""

from __future__ import annotations

import subprocess
import sys

MEET = """
import sys, threading, msgspec
sys.path[:0] = ["tests", "scripts"]
from trade_samples import samples
from p2pmarket import codec, daemon

daemon.work_out_types()
plain = [(type(made), msgspec.to_builtins(made, builtin_types=(bytes,))) for _, _, made in samples()]
sys.setswitchinterval(1e-6)
start = threading.Barrier(4)


def convert():
    start.wait()
    for kind, value in plain:
        codec.convert_untrusted(value, kind)


threads = [threading.Thread(target=convert) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("met")
"""


def test_threads_may_meet_at_the_first_document_of_each_kind() -> None:
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", MEET], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (0, "met\n"), done.stderr
