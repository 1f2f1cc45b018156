"""What happens between Send and the first word, and in a second window."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, expect

from tests.e2e.test_page import PATIENCE_MS, one_answer, say, visit

CODE = "def f(x):\n    if x:\n        return x\n\treturn 0"
# Long enough for a test to look in between, on a busy machine too.
LATENCY_MS = 2500


@contextmanager
def far_away(page: Page) -> Iterator[None]:
    """A network on which every answer of the server takes its time."""
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    conditions = {"offline": False, "downloadThroughput": -1, "uploadThroughput": -1}
    network.send("Network.emulateNetworkConditions", {**conditions, "latency": LATENCY_MS})
    yield
    network.send("Network.emulateNetworkConditions", {**conditions, "latency": 0})


def test_a_sent_message_leaves_its_box_at_once_and_words_typed_since_stay(
    browser: Browser, address: str
) -> None:
    with visit(browser, address) as page:
        box, own = (
            page.get_by_label("Write a message"),
            page.locator("#chat").get_by_test_id("user"),
        )
        with far_away(page):
            say(page, "Hello there")
            expect(box).to_have_value("")
            assert own.count() == 0
            # Nothing can change the chat under it, and no second message overtakes it.
            for held in (".chat-bar", "#chat-manage"):
                assert page.locator(held).get_attribute("inert") is not None
            box.press_sequentially("and more")
            box.press("Enter")
            expect(own).to_have_text(["Hello there"], timeout=PATIENCE_MS)
            expect(page.locator("#chat-status")).to_contain_text("seed", timeout=PATIENCE_MS)
        expect(box).to_have_value("and more")
        expect(own).to_have_count(1)
        expect(page.locator(".chat-bar")).not_to_have_attribute("inert", "")


def test_a_message_that_never_left_is_in_its_box_after_a_reload_and_only_once(
    browser: Browser, address: str
) -> None:
    with visit(browser, address) as page:
        box = page.get_by_label("Write a message")
        with far_away(page):
            say(page, "Hello there")
            expect(box).to_have_value("")
            box.press_sequentially("and more")
            page.reload()
            expect(box).to_have_value("Hello there\nand more", timeout=PATIENCE_MS)
        page.wait_for_function("'isBack' in document.documentElement.dataset")
        box.fill("")
        page.reload()
        page.wait_for_function("'isBack' in document.documentElement.dataset")
        expect(box).to_have_value("")


def test_a_refused_message_goes_back_before_what_was_typed_since(
    browser: Browser, address: str
) -> None:
    with visit(browser, address) as page:
        box = page.get_by_label("Write a message")
        with far_away(page):
            say(page, "NUL \0 here")
            expect(box).to_have_value("")
            box.press_sequentially("and more")
            expect(box).to_have_value("NUL \0 here\nand more", timeout=PATIENCE_MS)
        expect(page.locator("#chat-status")).to_contain_text("NUL")


def test_every_blank_of_a_message_is_shown_and_edited(browser: Browser, address: str) -> None:
    with visit(browser, address) as page:
        with one_answer(page):
            say(page, CODE)
        own = page.locator("#chat").get_by_test_id("user")
        assert own.locator(".md").evaluate("(shown) => shown.textContent") == CODE
        page.get_by_label("Write a message").press("ArrowUp")
        expect(page.locator("#chat .user-row textarea")).to_have_value(CODE)


def test_a_second_column_is_kept_as_a_chat_and_a_new_chat_outlives_a_reload(
    browser: Browser, address: str
) -> None:
    with visit(browser, address) as page:
        box, own = (
            page.get_by_label("Write a message"),
            page.locator("#chat").get_by_test_id("user"),
        )
        with one_answer(page):
            say(page, "Hello there")
        page.get_by_label("Fork here").first.click()
        page.locator("#fork-box textarea").fill("Only on the right")
        page.locator("#fork-box textarea").press("Enter")
        expect(page.locator("#fork-status")).to_contain_text("seed", timeout=PATIENCE_MS)
        page.locator("#fork-keep").press("Enter")
        expect(own).to_have_text(["Hello there", "Only on the right"])
        expect(page.locator("#fork")).to_be_hidden()
        page.wait_for_function(
            "JSON.parse(localStorage['rwkv-playground-list']).order.length === 2"
        )
        page.locator("#chat-new").press("Enter")
        expect(own).to_have_count(0)
        # Kept once the page has asked what is to be kept.
        page.wait_for_function(
            "!Object.keys(localStorage).some((name) =>"
            " name.endsWith(`:${sessionStorage['rwkv-playground-open']}`))"
        )
        box.fill("For a new chat")
        page.reload()
        page.wait_for_function("'isBack' in document.documentElement.dataset")
        expect(box).to_have_value("For a new chat")
        expect(own).to_have_count(0)


def test_a_chat_that_went_on_in_another_window_says_so(browser: Browser, address: str) -> None:
    with visit(browser, address) as page:
        with one_answer(page):
            say(page, "Hello there")
        page.wait_for_function("localStorage['rwkv-playground-list']?.includes('open')")
        other = page.context.new_page()
        other.goto(address)
        expect(other.get_by_test_id("user")).to_have_text(["Hello there"])
        expect(page.locator(".changed-bar")).to_have_count(0)
        with one_answer(other):
            say(other, "Tell me a joke")
        bar = page.locator(".changed-bar")
        expect(bar).to_contain_text("in another window")
        expect(other.locator(".changed-bar")).to_have_count(0)
        bar.get_by_text("Close").click()
        expect(bar).to_have_count(0)
        with one_answer(other):
            say(other, "Another one")
        bar.get_by_text("Load again").click()
        expect(page.get_by_test_id("user")).to_have_text(
            ["Hello there", "Tell me a joke", "Another one"]
        )
        expect(bar).to_have_count(0)
        other.close()
