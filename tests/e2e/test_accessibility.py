"""What axe finds: nothing serious on any tab, in the light and in the dark."""

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # has none
from playwright.sync_api import Browser, Page, expect

from tests.e2e.test_page import visit

SERIOUS = ("serious", "critical")


def faults(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {node['html'][:200]}"
        for fault in found
        if fault["impact"] in SERIOUS
        for node in fault["nodes"]
    ]


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, address: str, is_dark: bool) -> None:
    with visit(browser, address, is_dark=is_dark) as page:
        for tab in ("Chat", "Completion", "State inspector"):
            page.get_by_role("tab", name=tab).first.click()
            assert faults(page) == [], tab
        page.locator("#shelf-open").click()
        expect(page.locator("#shelf-close")).to_be_focused()
        assert faults(page) == [], "the shelf"


def test_the_tour_is_offered_once(browser: Browser, address: str) -> None:
    with visit(browser, address) as page:
        page.locator("#tour").get_by_role("button", name="Show me").click()
        for place in range(1, 6):
            expect(page.locator(".tour-place")).to_have_text(f"{place} / 5")
            page.keyboard.press("Enter")
        expect(page.locator(".tour-card")).to_have_count(0)
        page.reload()
        page.get_by_label("Write a message").wait_for()
        page.locator("#tour-open").click()
        expect(page.locator(".tour-place")).to_have_text("1 / 5")
        page.keyboard.press("Escape")
        expect(page.locator("#tour button")).to_have_count(0)
