"""The page without a mouse, on a low window, and when the network goes away."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.test_page import PATIENCE_MS, one_answer, say, visit

BOX = "#chat-box textarea"
EDIT = "#chat .user-row textarea"
# What the page itself asks of the server comes late; what the visitor asks does not.
LATE_PAGE = """const ask = fetch;
window.fetch = async (...what) => {
  const isLate = String(what[0]).includes("/run/") && !window.isAsked;
  window.hasBegun ||= isLate;
  if (isLate) await new Promise((go) => setTimeout(go, 1500));
  return ask(...what);
};"""


@pytest.fixture(params=["en-US", "zh-CN"])
def page(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page in a language; what Gradio calls its buttons differs."""
    with visit(browser, address, locale=request.param) as opened:
        yield opened


def ask(page: Page, text: str) -> None:
    """Ask by keys and wait for the answer's end."""
    page.locator(BOX).fill(text)
    page.locator(BOX).press("Enter")
    expect(page.get_by_test_id("bot").last).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("#chat-box .submit-button")).to_be_visible(timeout=PATIENCE_MS)


def test_a_message_is_edited_by_keys_and_the_edit_ends_with_its_chat(page: Page) -> None:
    expect(page.locator(BOX)).to_be_focused()
    ask(page, "Hello there")
    page.locator(BOX).press("ArrowUp")
    expect(page.locator(EDIT)).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(EDIT)).to_have_count(0)
    expect(page.locator("#chat .message-buttons-right .icon-button").last).to_be_focused()
    page.keyboard.press("Enter")
    page.locator(EDIT).fill("Hello there, but not sent")
    page.locator("#chat-new").press("Enter")
    expect(page.locator("#chat .user-row")).to_have_count(0)
    expect(page.locator(BOX)).to_be_focused()
    ask(page, "Another chat")
    expect(page.locator(EDIT)).to_have_count(0)
    expect(page.locator("#chat .user-row")).to_have_text("Another chat")


def test_the_keyboard_goes_on_where_a_pressed_button_has_gone(
    browser: Browser, address: str
) -> None:
    with visit(browser, address) as page:
        with one_answer(page):
            say(page, "Hello there")
        # Without the mouse, which would take the keyboard along when it stops a long answer.
        status = page.locator("#chat-status")
        before = status.inner_text()
        page.get_by_label("Retry").press("Enter")
        expect(status).to_contain_text("seed", timeout=PATIENCE_MS)
        expect(status).not_to_have_text(before, timeout=PATIENCE_MS)
        expect(page.locator("#chat-box .submit-button")).to_be_visible(timeout=PATIENCE_MS)
        expect(page.locator(BOX)).to_be_focused()
        for label, other in (
            ("Earlier version", "Later version"),
            ("Later version", "Earlier version"),
        ):
            page.locator("#chat").get_by_label(label).press("Enter")
            expect(page.locator("#chat").get_by_label(other)).to_be_focused()
        page.get_by_role("tab", name="Completion").click()
        page.locator("#completion-box textarea").fill("Once upon a time")
        run = page.locator("#completion-run")
        run.press("Enter")
        expect(page.locator("#completion-words .token").nth(7)).to_be_visible(timeout=PATIENCE_MS)
        expect(run).to_be_focused(timeout=PATIENCE_MS)
        words, shown = page.locator("#completion-words .tokens"), page.locator(".token.is-shown")
        for _ in range(5):
            words.press("ArrowRight")
        expect(shown).to_have_attribute("data-at", "4")
        title = shown.get_attribute("data-title") or ""
        expect(page.locator("#completion-words .for-ears")).to_have_text(title)
        page.keyboard.press("Enter")
        page.keyboard.press("Escape")
        page.keyboard.press("ArrowRight")
        expect(shown).to_have_attribute("data-at", "5")


def test_the_keyboard_goes_back_to_the_message_when_the_second_column_closes(
    browser: Browser, address: str
) -> None:
    with visit(browser, address) as page:
        ask(page, "Hello there")
        page.get_by_label("Fork here").first.press("Enter")
        close = page.locator("#fork-close")
        close.wait_for()
        close.press("Enter")
        expect(close).to_be_hidden()
        expect(page.locator(BOX)).to_be_focused()
        page.locator("#chat-manage button").first.press("Enter")
        page.locator("#chat-delete").press("Enter")
        back = page.locator("#chat-bring-back")
        back.press("Enter")
        expect(back).to_be_hidden()
        expect(page.locator("#chat-delete")).to_be_focused()


def test_what_is_not_sent_yet_outlives_a_reload_and_a_lost_network(
    browser: Browser, address: str
) -> None:
    with visit(browser, address) as page:
        page.get_by_role("tab", name="State inspector").click()
        page.locator("#inspector-text textarea").fill("A red ball.")
        page.get_by_role("tab", name="Chat").click()
        page.locator(BOX).fill("not sent yet")
        page.reload()
        expect(page.locator(BOX)).to_have_value("not sent yet")
        page.get_by_role("tab", name="State inspector").click()
        expect(page.locator("#inspector-text textarea")).to_have_value("A red ball.")
        page.get_by_role("tab", name="Chat").click()
        with one_answer(page):
            page.locator(BOX).press("Enter")
        page.reload()
        expect(page.locator("#chat .user-row")).to_have_text("not sent yet")
        expect(page.locator(BOX)).to_have_value("")


@pytest.mark.parametrize("how", ["key", "button", "example"])
def test_what_is_asked_before_the_page_is_back_waits_for_it(
    browser: Browser, address: str, how: str
) -> None:
    with visit(browser, address, locale="zh-CN") as page:
        page.add_init_script(LATE_PAGE)
        page.reload(wait_until="commit")
        page.wait_for_function("window.hasBegun")
        page.evaluate("window.isAsked = true")
        if how == "example":
            page.locator("#chat .example").first.click()
        else:
            page.locator(BOX).fill("Hello there")
            if how == "key":
                page.locator(BOX).press("Enter")
            else:
                page.locator("#chat-box .submit-button").click()
        assert page.evaluate("document.documentElement.dataset.isBack") is None
        expect(page.get_by_test_id("bot").last).to_be_visible(timeout=PATIENCE_MS)
        expect(page.locator("#chat-box .submit-button")).to_be_visible(timeout=PATIENCE_MS)
        expect(page.locator(BOX)).to_have_value("")
        expect(page.locator("#chat .user-row")).to_have_count(1)
        # In the visitor's language, which was not known when it was asked.
        expect(page.locator("#tab-chat")).to_contain_text("写完了")
        expect(page.get_by_role("log", name="对话")).to_be_visible()
        expect(page.locator("#chat .user-row").get_by_label("您说: ")).to_be_visible()
        expect(page.locator("#chat").get_by_role("button", name="复制消息")).to_have_count(2)


@pytest.mark.parametrize(("width", "height"), [(640, 360), (844, 390), (320, 500)])
def test_a_low_or_narrow_window_begins_at_the_head_of_the_page(
    browser: Browser, address: str, width: int, height: int
) -> None:
    with visit(browser, address) as page:
        page.set_viewport_size({"width": width, "height": height})
        page.reload()
        expect(page.locator(BOX)).to_be_focused()
        assert page.evaluate("scrollY") == 0
        cut = """() => [...document.querySelectorAll(".tabs > .tab-wrapper button[role=tab]")]
            .filter((tab) => tab.scrollWidth > tab.clientWidth).map((tab) => tab.textContent)"""
        assert page.evaluate(cut) == []


def test_high_contrast_shows_what_is_chosen(browser: Browser, address: str) -> None:
    with visit(browser, address) as page:
        page.emulate_media(forced_colors="active")
        frame = "(one) => getComputedStyle(one).outlineStyle"
        chosen = page.locator("#tab-chat .segmented label.selected").first
        expect(chosen).to_be_visible()
        assert chosen.evaluate(frame) == "solid"
        assert (
            page.locator("#tab-chat .segmented label:not(.selected)").first.evaluate(frame)
            == "none"
        )
