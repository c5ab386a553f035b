"""The page at /, as people use it: in Chromium, without the internet."""

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
# Where README.md's picture of the page is to be written, if at all.
SCREENSHOT = os.environ.get("SCREENSHOT")


def operation(method: str, path: str) -> str:
    return f'.opblock-{method}:has([data-path="{path}"])'


def answered(block: str) -> str:
    """Return JavaScript for the text of the live answer below an operation."""
    return f"document.querySelector('{block} .live-responses-table')?.innerText"


def test_page_logs_in_adds_a_pet_and_lists_it(served: Running, tmp_path: Path) -> None:
    account = {"email": "browser@example.com", "password": PASSWORD}
    assert httpx.post(f"{served.url}/users/register", json=account, trust_env=False).status_code == 201
    create, list_mine = operation("post", "/pets/create"), operation("get", "/pets/me")
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

        for block in (create, list_mine):
            page.click(f"{block} .opblock-summary-control")
            page.click(f"{block} .try-out__btn")
        page.type(f"{create} textarea", '{"pet_name": "Tadeusz"}')
        page.click(f"{create} .execute")
        created = page.when(answered(create))
        page.click(f"{list_mine} .execute")
        listed = page.when(answered(list_mine))
        page.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        dark = page.when(f"{BACKGROUND} == 'rgb(28, 32, 34)'")

    assert "201" in created
    assert "200" in listed
    assert '"pet_name": "Tadeusz"' in listed
    assert dark
    assert [url for url in page.requested if not url.startswith((f"{served.url}/", "data:"))] == []
    assert len(page.requested) > 5
    assert page.complaints == []
