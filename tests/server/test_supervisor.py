"""The parent of several workers."""

import time

from service.server.supervisor import Exit


def test_ending_parent_does_not_wait_for_startup() -> None:
    """Workers that were told themselves are on their way to their end, and only the parent can stop the listener."""
    exit_ = Exit([])
    exit_.set()
    began = time.monotonic()

    assert exit_.wait(5)

    assert time.monotonic() - began < 2
