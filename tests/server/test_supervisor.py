"""The parent of several workers."""

import time

from service.server.supervisor import Exit


def test_a_parent_that_is_to_end_waits_for_no_worker_first() -> None:
    """Workers that were told themselves are on their way to their end, and the door is the parent's to shut."""
    exit_ = Exit([])
    exit_.set()
    began = time.monotonic()

    assert exit_.wait(5)

    assert time.monotonic() - began < 2
