"""The documentation page in Chromium, without internet access."""

import os
from pathlib import Path

import httpx
import pytest

from tests.support.browser import CHROMIUM, chromium
from tests.support.processes import Running
from tests.support.programs import needs

pytestmark = [pytest.mark.slow, needs(CHROMIUM)]

PASSWORD = "some long password"
BACKGROUND = "getComputedStyle(document.documentElement).backgroundColor"
# The file for README.md's picture of the page, if it is to be written.
SCREENSHOT = os.environ.get("SCREENSHOT")


def operation(method: str, path: str) -> str:
    return f'.opblock-{method}:has([data-path="{path}"])'


def answered(block: str) -> str:
    """Return JavaScript for the text of the live response below an operation."""
    return f"document.querySelector('{block} .live-responses-table')?.innerText"


def test_page_logs_in_and_sends_requests(served: Running, tmp_path: Path) -> None:
    account = {"email": "browser@example.com", "password": PASSWORD}
    assert httpx.post(f"{served.url}/users/register", json=account, trust_env=False).status_code == 201
    reset, show = operation("post", "/users/reset-password"), operation("get", "/users/me")
    with chromium(tmp_path) as page:
        page.open(served.url)
        page.click(".btn.authorize")
        page.type("#oauth_username", account["email"])
        page.type("#oauth_password", PASSWORD)
        page.click(".auth-btn-wrapper .authorize")
        page.when("[...document.querySelectorAll('.auth-btn-wrapper button')].some(b => b.innerText == 'Logout')")
        page.click(".auth-btn-wrapper .btn-done")
        page.when("!document.querySelector('.dialog-ux')")
        if SCREENSHOT:
            page.screenshot(Path(SCREENSHOT))

        for block in (reset, show):
            page.click(f"{block} .opblock-summary-control")
            page.click(f"{block} .try-out__btn")
        page.type(f"{reset} textarea", '{"password": "another long password"}')
        page.click(f"{reset} .execute")
        changed = page.when(answered(reset))
        page.click(f"{show} .execute")
        shown = page.when(answered(show))
        page.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        dark = page.when(f"{BACKGROUND} == 'rgb(28, 32, 34)'")

    assert "200" in changed
    assert "200" in shown
    assert '"email": "browser@example.com"' in shown
    assert dark
    assert [url for url in page.requested if not url.startswith((f"{served.url}/", "data:"))] == []
    assert len(page.requested) > 5
    assert page.complaints == []


def test_operation_fits_few_screens_and_refusals_open(served: Running, tmp_path: Path) -> None:
    block = operation("post", "/users/register")
    refusal = f"{block} .response[data-code='422']"
    with chromium(tmp_path) as page:
        page.open(served.url)
        page.click(f"{block} .opblock-summary-control")
        closed = page.when(f"document.querySelector(`{refusal}`)?.offsetHeight")
        whole = page.when(f"document.querySelector('{block}').offsetHeight")
        page.click(f"{refusal} .tablinks")
        shown = page.when(f"document.querySelector(`{refusal} [role=tabpanel]`)?.innerText")

    assert whole < 2000
    assert closed < 100
    assert '"status": 422' in shown


def test_open_operation_fits_a_phone(served: Running, tmp_path: Path) -> None:
    block = operation("post", "/users/register")
    with chromium(tmp_path) as page:
        page.open(served.url)
        page.send("Emulation.setDeviceMetricsOverride", width=400, height=900, deviceScaleFactor=1, mobile=True)
        page.click(f"{block} .opblock-summary-control")
        page.when(f"document.querySelector('{block} .responses-table')?.offsetHeight")
        width = page.when("document.documentElement.scrollWidth")

    assert width == 400
