"""Programs that end while streams are in use end in order."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import threading
import spead_transport

stream = spead_transport.open_receiver("udp://127.0.0.1:0", engine="native")
started = threading.Event()

def receive():
    started.set()
    for heap in stream:
        pass

threading.Thread(target=receive, daemon=True).start()
started.wait()
"""


def test_a_daemon_thread_that_waits_for_heaps() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
