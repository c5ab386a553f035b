"""The book in Chromium, opened from disk: its requests, its search, and axe's report on each page."""

import os
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pytest_postgresql.executors import NoopExecutor

from service.embedded import EmbeddedPostgres
from tests.support.browser import CHROMIUM, NavigatedError, Page, chromium
from tests.support.databases import cloned
from tests.support.processes import wait_until
from tests.support.programs import needs
from tests.support.sqlcheck import invoke

pytestmark = [pytest.mark.slow, needs(CHROMIUM, "npm")]

AXE = "axe-core@4.14.1"
# Every kind of page, and the widest of each.
PAGES = [
    "index.html",
    "table-login_throttle.html",
    "table-login_session.html",
    "query-auth.open_session.html",
    "migration-0004_create_login_throttle.html",
    "functions.html",
    "triggers.html",
    "sequences.html",
    "types.html",
    "grants.html",
    "endpoints.html",
    "live-database.html",
    "findings.html",
]
# Without `preload`, with which axe would request the style sheet itself.
VIOLATIONS = """
    axe.run({preload: false})
        .then(found => found.violations.map(each => each.id + ': ' + each.nodes[0].html).join('\\n') || 'none')
"""
DESKTOP, PHONE = 1280, 400
# The file for docs/book.md's picture of the book, if it is to be written.
SCREENSHOT = os.environ.get("SCREENSHOT")


@pytest.fixture(scope="module")
def book(template: NoopExecutor, server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the checkout's book."""
    out = tmp_path_factory.mktemp("browser") / "book"
    with cloned(template, server) as url:
        assert invoke("book", "--out", str(out), "--database-url", url).exit_code == 0
    return out


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return axe-core's script, from npm."""
    folder = tmp_path_factory.mktemp("axe")
    subprocess.run(["/usr/bin/env", "npm", "pack", "--silent", AXE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    [packed] = folder.glob("*.tgz")
    with tarfile.open(packed) as archive:
        found = archive.extractfile("package/axe.min.js")
        assert found
        return found.read().decode()


@pytest.fixture(scope="module")
def page(book: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Return a browser page that shows the book's first page."""
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        page.open((book / "index.html").as_uri())
        yield page


def show(page: Page, path: Path, width: int = DESKTOP, scheme: str = "light", media: str = "screen") -> None:
    """Show a page of the book on a screen of the given width in pixels."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.send("Emulation.setEmulatedMedia", media=media, features=features)
    page.send("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width == PHONE)
    page.send("Page.navigate", url=path.as_uri())
    until_shown(page, path.name)


def until_shown(page: Page, name: str, anchor: str = "") -> None:
    """Wait until a page is loaded; a promise, as from ``when``, would be lost with the previous page."""
    there = f"location.pathname.endsWith('/{name}') && decodeURI(location.hash) == '{anchor}'"
    expression = f"document.readyState == 'complete' && {there}"

    def is_shown() -> bool:
        try:
            return bool(page.send("Runtime.evaluate", expression=expression)["result"]["value"])
        except NavigatedError:  # the previous page was asked
            return False

    wait_until(is_shown, f"{name} is shown")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_axe_finds_nothing_and_nothing_is_fetched_elsewhere(
    page: Page, book: Path, axe: str, width: int, scheme: str
) -> None:
    for name in PAGES:
        show(page, book / name, width, scheme)
        page.send("Runtime.evaluate", expression=axe)
        assert page.when(VIOLATIONS) == "none", name
        assert page.when("`${document.documentElement.scrollWidth}`") == str(width), f"{name} is wider than the screen"
    assert [url for url in page.requested if not url.startswith(("file://", "about:"))] == []
    assert len(page.requested) > len(PAGES)
    assert page.complaints == []


def test_axe_finds_a_planted_fault(page: Page, book: Path, axe: str) -> None:
    show(page, book / "index.html")
    page.when("document.documentElement.removeAttribute('lang') || true")
    page.send("Runtime.evaluate", expression=axe)

    assert page.when(VIOLATIONS).startswith("html-has-lang")


def test_search_result_is_found_and_opened(page: Page, book: Path) -> None:
    show(page, book / "table-login_throttle.html")
    page.type("#search", "refresh token")
    page.when("document.querySelector('#count').innerText.endsWith('places')")

    titles = page.when("[...document.querySelectorAll('#found b')].map(found => found.innerText)")
    assert "auth.rotate_session" in titles
    assert "login_session.generation" in titles
    page.type("#search", "live_session(")
    page.when("document.querySelector('#found b').innerText == 'live_session(session uuid)'")
    with suppress(NavigatedError):  # the next page can come before the answer
        page.send("Runtime.evaluate", expression="document.querySelector('#found a').click()")
    until_shown(page, "functions.html", "#live_session(session uuid)")


def test_search_without_result_says_so(page: Page, book: Path) -> None:
    show(page, book / "index.html")
    if SCREENSHOT:
        page.screenshot(Path(SCREENSHOT))
    page.type("#search", "<b>zebra")

    assert page.when("document.querySelector('#count').innerText") == "No places"


def test_search_works_without_a_mouse(page: Page, book: Path) -> None:
    show(page, book / "index.html")
    for key in ("/", *"user_model", "ArrowDown"):
        text = {"text": key} if len(key) == 1 else {}
        page.send("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
    assert page.when("document.activeElement.querySelector('b').innerText") == "user_model"
    page.send("Input.dispatchKeyEvent", type="keyDown", key="Escape")
    assert page.when("document.activeElement.id == 'search' && `<${document.activeElement.value}>`") == "<>"


def test_without_javascript_only_the_search_is_missing(page: Page, book: Path) -> None:
    page.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        show(page, book / "query-auth.rotate_session.html")
        shown = [
            page.send("Runtime.evaluate", expression=f"getComputedStyle(document.querySelector('{each}')).display")
            for each in (".search", "nav", ".plan")
        ]
    finally:
        page.send("Emulation.setScriptExecutionDisabled", value=False)

    assert [each["result"]["value"] for each in shown] == ["none", "block", "block"]


def test_contents_open_on_a_phone_without_javascript(page: Page, book: Path) -> None:
    show(page, book / "index.html", PHONE)
    assert page.when("getComputedStyle(document.querySelector('nav')).display") == "none"
    page.click(".open")

    assert page.when("getComputedStyle(document.querySelector('nav')).display") == "block"


def test_printed_page_has_no_navigation(page: Page, book: Path) -> None:
    show(page, book / "query-auth.open_session.html", 700, "dark", "print")

    assert page.when("getComputedStyle(document.querySelector('.side')).display") == "none"
    assert page.when("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.when("getComputedStyle(document.querySelector('table')).display") == "table"
