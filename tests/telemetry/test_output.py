"""The thread that writes standard output, with readers that are slow, stop or disappear."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import attrs
import pytest

from service.telemetry import recorder
from service.telemetry.output import MAX_CHUNK_BYTES, Output
from service.telemetry.prometheus import render_metrics
from tests.support.metrics import samples
from tests.support.processes import ROOT, wait_until

LIMIT = 16 * 1024  # bytes, less than the pipe itself holds


@attrs.frozen
class Pipe:
    """A pipe that an Output writes to."""

    output: Output
    read_end: int
    write_end: int

    def read_to_end(self) -> str:
        """Write everything queued, and return all that was written."""
        texts: list[bytes] = []

        def read() -> None:
            while text := os.read(self.read_end, 64 * 1024):
                texts.append(text)

        reader = threading.Thread(target=read)
        reader.start()
        self.output.close(20)
        os.close(self.write_end)
        reader.join()
        return b"".join(texts).decode()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    read_end, write_end = os.pipe()
    output = Output(write_end, LIMIT)
    output.report = "{} lines dropped\n".format
    yield Pipe(output, read_end, write_end)
    with suppress(OSError):  # closed already
        os.close(read_end)
    # The pipe of the next test can have the same descriptor.
    wait_until(lambda: not output._pending, "the thread writes no more")  # noqa: SLF001 - nothing else shows it
    with suppress(OSError):
        os.close(write_end)


def write(output: Output, lines: int) -> None:
    """Write numbered lines, as a logging handler does."""
    for number in range(lines):
        output.write(f"line {number}: {'x' * 90}\n")
        output.flush()


def test_stalled_reader_blocks_no_writer_and_drops_are_counted(pipe: Pipe) -> None:
    write(pipe.output, 2000)

    text = pipe.read_to_end()

    read = re.findall(r"^line (\d+)", text, re.MULTILINE)
    dropped = sum(map(int, re.findall(r"^(\d+) lines dropped$", text, re.MULTILINE)))
    assert (len(read) + dropped, dropped > 0) == (2000, True)
    assert [int(number) for number in read] == sorted(map(int, read))


def test_dropped_lines_are_counted_by_a_metric(pipe: Pipe, tmp_path: Path) -> None:
    recorder.start(tmp_path, [], [])
    write(pipe.output, 2000)

    text = pipe.read_to_end()

    counted = samples(render_metrics(tmp_path, "text/plain")[0].decode())["log_lines_dropped_total"]
    recorder.stop()
    assert counted == 2000 - len(re.findall(r"^line", text, re.MULTILINE)) > 0


def test_close_gives_up_on_stalled_reader(pipe: Pipe) -> None:
    write(pipe.output, 2000)
    began = time.monotonic()

    pipe.output.close(0.05)
    write(pipe.output, 1)  # this one is not waited for either

    assert time.monotonic() - began < 5  # otherwise it would wait forever


def test_line_after_close_is_written_at_once(pipe: Pipe) -> None:
    os.set_blocking(pipe.read_end, False)
    pipe.output.close(20)

    pipe.output.write("later\n")
    pipe.output.flush()

    assert os.read(pipe.read_end, 100) == b"later\n"


async def test_access_log_line_after_close_is_written_at_once(pipe: Pipe) -> None:
    os.set_blocking(pipe.read_end, False)
    pipe.output.close(20)

    pipe.output.add(b"later\n", later=True)

    assert os.read(pipe.read_end, 100) == b"later\n"


def test_lines_without_reader_are_dropped(pipe: Pipe, tmp_path: Path) -> None:
    recorder.start(tmp_path, [], [])
    os.close(pipe.read_end)

    write(pipe.output, 3)
    pipe.output.close(20)

    counted = samples(render_metrics(tmp_path, "text/plain")[0].decode())["log_lines_dropped_total"]
    recorder.stop()
    assert counted == 3


async def test_lines_are_written_in_pieces_of_pipe_buf() -> None:
    reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)  # preserves the bounds of each write
    output = Output(writer.fileno())
    for _ in range(3):
        output.add(b"x" * (MAX_CHUNK_BYTES // 2 - 1) + b"\n", later=True)

    output.close(20)

    assert [reader.recv(2 * MAX_CHUNK_BYTES).count(b"\n") for _ in range(2)] == [2, 1]
    reader.close()
    writer.close()


def test_forked_process_writes_its_own_lines_only(pipe: Pipe) -> None:
    write(pipe.output, 3)
    pipe.output.close(20)
    pipe.output.write("the parent's\n")

    pipe.output.reset()
    pipe.output.write("the child's\n")
    pipe.output.flush()

    assert re.sub(r"(?m)^line.*\n", "", pipe.read_to_end()) == "the child's\n"


SHORT_OF_MEMORY = """
import resource
import signal
from pathlib import Path
from service.telemetry.output import stdout

size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 4 * 1024 * 1024, resource.RLIM_INFINITY))
stdout.write("first\\n")
stdout.flush()
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
stdout.write(f"second; blocked signals: {signal.pthread_sigmask(signal.SIG_BLOCK, [])}\\n")
stdout.flush()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit the memory of a process")
def test_line_without_a_thread_is_written_later() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (ended.stdout, ended.stderr) == ("first\nsecond; blocked signals: set()\n", "")
