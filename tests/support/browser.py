"""Chromium, driven over a pipe by the DevTools protocol, without further packages.

https://chromedevtools.github.io/devtools-protocol; messages are JSON and end with a NUL.
"""

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = "google-chrome" if shutil.which("google-chrome") else "chromium"
PATIENCE = 20  # seconds
# Resolves as soon as an expression is true in the page.
WHEN = """new Promise(done => {{
    const look = () => {{ const found = {expression}; found ? done(found) : setTimeout(look, 20) }};
    look();
}})"""


class NavigatedError(Exception):
    """The page changed while a command waited."""


class Page:
    """A page in its own browser, with its requests and errors."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._numbers = itertools.count(1)
        self._session: str | None = None
        self._read = b""
        self.requested: list[str] = []
        self.complaints: list[str] = []

    def open(self, url: str) -> None:
        """Load `url`."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        self.send("Page.navigate", url=url)

    def when(self, expression: str) -> Any:  # noqa: ANN401 - any JSON value
        """Return the value of a JavaScript expression as soon as it is truthy, on the next page if it changes."""
        try:
            response = self.send(
                "Runtime.evaluate",
                expression=WHEN.format(expression=expression),
                awaitPromise=True,
                returnByValue=True,
            )
        except NavigatedError:
            return self.when(expression)
        assert "exceptionDetails" not in response, response
        return response["result"].get("value")

    def click(self, selector: str) -> None:
        """Click the first element that `selector` matches, as soon as it exists."""
        self.when(f"(found => found && (found.click(), true))(document.querySelector({json.dumps(selector)}))")

    def type(self, selector: str, text: str) -> None:
        """Replace the text of an input with `text`."""
        self.when(
            f"(found => found && (found.focus(), found.select(), true))(document.querySelector({json.dumps(selector)}))"
        )
        self.send("Input.insertText", text=text)

    def screenshot(self, path: Path) -> None:
        """Write a picture of the visible page."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))

    def send(self, method: str, **parameters: object) -> dict[str, Any]:
        """Send a command, and return its result."""
        number = next(self._numbers)
        message: dict[str, object] = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            response = self._next(deadline, method)
            if response.get("id") == number:
                if "navigated" in response.get("error", {}).get("message", ""):
                    raise NavigatedError
                assert "error" not in response, response
                result: dict[str, Any] = response["result"]
                return result
            self._note(response)

    def _next(self, deadline: float, hope: str) -> dict[str, Any]:
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._from], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"not within {PATIENCE} s: the answer to {hope}; complaints: {self.complaints}"
            read = os.read(self._from, 65536)
            assert read, "the browser has ended"
            self._read += read
        message, _, self._read = self._read.partition(b"\0")
        response: dict[str, Any] = json.loads(message)
        return response

    def _note(self, event: dict[str, Any]) -> None:
        match event:
            case {"method": "Network.requestWillBeSent", "params": {"request": {"url": url}}}:
                self.requested.append(url)
            case {"method": "Runtime.exceptionThrown", "params": params}:
                self.complaints.append(str(params))
            case {"method": "Log.entryAdded", "params": {"entry": {"level": "error" | "warning"} as entry}}:
                self.complaints.append(str(entry))
            case {"method": "Runtime.consoleAPICalled", "params": {"type": "error" | "warning"} as params}:
                self.complaints.append(str(params))
            case _:
                pass  # progress events that no test needs


@contextlib.contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """Yield a page of a Chromium that starts with an empty `profile` and ends with the context."""
    to_browser, from_browser = os.pipe(), os.pipe()
    options = ["--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu"]
    # No background work, such as looking for updates, which would wait without a network.
    options += [
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-extensions",
        "--disable-sync",
    ]
    options += [f"--user-data-dir={profile}", "--window-size=1100,900", "--hide-scrollbars"]
    if os.geteuid() == 0:
        options.append("--no-sandbox")  # does not work for root; the page is our own
    # Chromium reads from 3 and writes to 4.
    script = f'exec "$0" "$@" 3<&{to_browser[0]} 4>&{from_browser[1]}'
    process = subprocess.Popen(
        ["/bin/bash", "-c", script, CHROMIUM, *options],
        pass_fds=[to_browser[0], from_browser[1]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser[0])
    os.close(from_browser[1])
    page = Page(to_browser[1], from_browser[0])
    try:
        yield page
    finally:
        os.close(to_browser[1])  # Chromium ends when this pipe is closed
        os.close(from_browser[0])
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()
