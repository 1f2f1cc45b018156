import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Frame, Page, TimeoutError, expect

PATIENCE_MS = 40_000
LEAVING = "the page is left"
# Takes longer to read than another visitor's answer, on a busy machine too.
LONG_TEXT = "the dog went to the park. " * 12_000


@contextmanager
def visit(
    browser: Browser,
    address: str,
    width: int = 1280,
    *,
    is_dark: bool = False,
    locale: str = "en-US",
) -> Iterator[Page]:
    """Open the page; errors in its console and requests to elsewhere fail at the end.

    When a page is left, Gradio's client cuts off what was being asked and complains of that itself.
    """
    context = browser.new_context(
        viewport={"width": width, "height": 844},
        color_scheme="dark" if is_dark else "light",
        locale=locale,
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    faults = Faults()
    page.add_init_script(f"addEventListener('beforeunload', () => console.info('{LEAVING}'))")
    page.on("console", faults.hear)
    page.on("pageerror", lambda error: faults.add([str(error)]))
    page.on("request", lambda request: faults.add(elsewhere(request.url)))
    page.on("framenavigated", faults.arrive)
    page.goto(address)
    page.locator("#chat-box textarea").wait_for()
    # What is pressed before waits; but a program is quicker than the page's own scripts.
    page.wait_for_function("'isBack' in document.documentElement.dataset")
    yield page
    context.close()
    assert faults.found == []


class Faults:
    """What went wrong in a page, save between its being left and the next one's being there."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.is_leaving = False

    def add(self, found: list[str]) -> None:
        self.found += [] if self.is_leaving else found

    def hear(self, said: ConsoleMessage) -> None:
        """Of an answer that failed a browser does not say which, so where it was asked is added."""
        self.is_leaving = self.is_leaving or said.text == LEAVING
        self.add([f"{said.text} ({said.location['url']})"] if said.type == "error" else [])

    def arrive(self, _: Frame) -> None:
        self.is_leaving = False


def elsewhere(url: str) -> list[str]:
    parts = urlsplit(url)
    is_local = parts.hostname == "127.0.0.1" or parts.scheme in {"data", "blob"}
    return [] if is_local else [f"request to {url}"]


def say(page: Page, text: str) -> None:
    box = page.get_by_label("Write a message")
    box.fill(text)
    box.press("Enter")


@contextmanager
def one_answer(page: Page) -> Iterator[None]:
    """Ask for an answer inside; afterwards some words of it have come and it is stopped.

    Every answer has a seed of its own, so a new status line tells that it is over.
    """
    status = page.locator("#chat-status")
    before = status.inner_text()
    yield
    stop = page.locator("#chat-box .stop-button")
    # A short answer is over before it can be stopped.
    with suppress(TimeoutError):
        expect(page.get_by_test_id("bot").last).to_have_text(re.compile(r"\S"))
        stop.click(timeout=500)
    expect(status).to_contain_text("seed", timeout=PATIENCE_MS)
    expect(status).not_to_have_text(before, timeout=PATIENCE_MS)
    expect(page.locator("#chat-box .submit-button")).to_be_visible(timeout=PATIENCE_MS)


def memory_size(page: Page) -> str:
    """The first words of the memory card, which never change."""
    return page.locator("#chat-memory .memory-size").inner_text().split(" after")[0]


@pytest.fixture(scope="module")
def opened(browser: Browser, address: str) -> Iterator[Page]:
    """A page for tests that leave it as good as new: to open one takes longer than most of them."""
    with visit(browser, address, is_dark=True) as page:
        yield page


@pytest.fixture
def page(opened: Page) -> Page:
    """That page with its first tab open; workers take tests from each other, so any may come before."""
    opened.get_by_role("tab", name="Chat").click()
    return opened


def test_a_visitor_chats_retries_edits_takes_back_and_begins_anew(page: Page) -> None:
    size = memory_size(page)
    with one_answer(page):
        page.get_by_role("button", name="Select example 1").click()
    with one_answer(page):
        say(page, "And then?")
    expect(page.get_by_test_id("user")).to_have_count(2)
    expect(page.locator("#chat-status")).to_contain_text("re-read 0 tokens")
    assert memory_size(page) == size

    with one_answer(page):
        page.get_by_label("Retry").last.click()
    expect(page.get_by_test_id("user")).to_have_count(2)

    page.get_by_label("Edit").last.click()
    page.locator("#chat textarea").fill("Who was there?")
    with one_answer(page):
        page.get_by_label("Submit").click()
    expect(page.get_by_test_id("user").last).to_have_text("Who was there?")

    page.get_by_label("Undo").last.click()
    expect(page.get_by_test_id("user")).to_have_count(1)
    expect(page.get_by_label("Write a message")).to_have_value("Who was there?")

    page.get_by_role("button", name="New chat").click()
    expect(page.get_by_text("What shall we talk about?")).to_be_visible()
    assert memory_size(page) == size


def test_stopping_while_it_reads_returns_the_message_and_delays_nobody(
    browser: Browser, address: str
) -> None:
    with visit(browser, address) as reader, visit(browser, address) as other:
        say(reader, LONG_TEXT)
        expect(reader.locator("#chat-status")).to_contain_text("Reading:", timeout=PATIENCE_MS)
        with one_answer(other):
            say(other, "Hi")
        expect(reader.locator("#chat-status")).to_contain_text("Reading:")
        expect(reader.get_by_text("New chat")).to_be_hidden()
        reader.locator("#chat-box .stop-button").click()
        expect(reader.get_by_label("Write a message")).to_have_value(LONG_TEXT)
        expect(reader.locator("#chat-status")).to_contain_text("Stopped.")


def test_bad_input_gets_a_sentence_and_stays_where_it_was_typed(page: Page) -> None:
    for text, says in (("  ", "message is empty"), ("x" * 2_100_000, "limit")):
        say(page, text)
        expect(page.locator("#chat-status")).to_contain_text(says)
        expect(page.get_by_label("Write a message")).to_have_value(text)
    page.get_by_label("Write a message").fill("")


def test_the_card_behind_why_closes_by_escape_or_a_click_elsewhere(page: Page) -> None:
    card, summary = page.locator("#banner details"), page.locator("#banner summary")
    ways: tuple[Callable[[], None], ...] = (
        lambda: page.keyboard.press("Escape"),
        lambda: page.get_by_role("heading", level=1).click(),
    )
    for close in ways:
        summary.click()
        expect(card).to_have_attribute("open", "")
        page.locator("#banner dl").click()
        expect(card).to_have_attribute("open", "")
        close()
        expect(card).not_to_have_attribute("open", "")
        expect(summary).to_be_visible()


def test_a_text_goes_on_in_its_box_with_probabilities_and_can_be_taken_back(page: Page) -> None:
    page.get_by_role("tab", name="Completion").click()
    box, go_on = page.locator("#completion-box textarea"), page.locator("#completion-run")
    box.fill("The cat went")
    go_on.click()
    expect(box).to_have_value(re.compile(r"The cat went[\s\S]+"), timeout=PATIENCE_MS)
    with suppress(TimeoutError):
        page.locator("#completion-stop").click(timeout=2000)
    expect(go_on).to_be_visible()
    word = page.locator("#completion-words .token").first
    expect(word).to_be_visible()
    word.hover()
    expect(page.locator(".word-card")).to_contain_text("%")
    page.locator("#completion-undo").click()
    expect(box).to_have_value("The cat went")
    page.locator("#completion-redo").click()
    expect(box).to_have_value(re.compile(r"The cat went[\s\S]+"))


def test_another_word_and_another_version_are_gone_on_with(page: Page) -> None:
    page.get_by_role("tab", name="Completion").click()
    box, status = page.locator("#completion-box textarea"), page.locator("#completion-status")
    box.fill("Tom found a box.")
    expect(page.locator("#completion-counts")).to_contain_text("16 characters")
    page.locator("#completion-more").click()
    adopt = page.locator(".versions button")
    expect(adopt).to_have_count(4, timeout=PATIENCE_MS)
    adopt.nth(1).click()
    expect(status).to_contain_text("Adopted")
    expect(box).to_have_value(re.compile(r"Tom found a box\.[\s\S]+"))
    page.locator("#completion-words .token").nth(3).click()
    other = page.locator(".word-card .choice:not(:disabled)").first
    word = other.locator("span").inner_text()
    other.click()
    expect(status).to_contain_text("seed", timeout=PATIENCE_MS)
    expect(box).to_have_value(re.compile(re.escape(word)))


def test_the_text_in_the_box_outlives_a_reload(page: Page) -> None:
    page.get_by_role("tab", name="Completion").click()
    box, words = page.locator("#completion-box textarea"), page.locator("#completion-words .token")
    box.fill("Tom found a box.")
    page.locator("#completion-run").click()
    expect(page.locator("#completion-status")).to_contain_text("seed", timeout=PATIENCE_MS)
    expect(words.first).to_be_visible()
    # Words may be drawn a moment after the line that tells of the end: until nothing comes any more.
    expect(box).not_to_have_value("Tom found a box.")
    page.wait_for_function(
        """() => {
            const { value } = document.querySelector('#completion-box textarea')
            const isStill = value === window.drawn
            window.drawn = value
            return isStill
        }""",
        polling=1000,
    )
    written = box.input_value()
    page.reload()
    page.get_by_role("tab", name="Completion").click()
    expect(box).to_have_value(written)


def test_a_preset_fills_the_folded_numbers_and_both_come_back_after_a_reload(page: Page) -> None:
    page.get_by_role("tab", name="Completion").click()
    tab = page.locator("#tab-completion")
    tab.get_by_text("Precise", exact=True).click()
    tab.get_by_role("button", name="Fine controls").click()
    number = tab.get_by_label("number input for Temperature")
    expect(number).to_have_value("0.3")
    page.wait_for_function("Object.keys(localStorage).some(k => k.endsWith('n-settings'))")
    page.reload()
    page.get_by_role("tab", name="Completion").click()
    tab.get_by_role("button", name="Fine controls").click()
    expect(number).to_have_value("0.3")
    expect(tab.get_by_label("Precise", exact=True)).to_be_checked()
    number.fill("0.7")
    number.press("Enter")
    chosen = tab.locator(".side-column .segmented input:checked")
    expect(chosen).to_have_count(0)
    number.fill("0.3")
    number.press("Enter")
    expect(tab.get_by_label("Precise", exact=True)).to_be_checked()


def test_the_inspector_reads_an_example_and_follows_the_word_that_is_pressed(
    browser: Browser, address: str
) -> None:
    with visit(browser, address) as page:
        page.get_by_role("tab", name="State inspector").click()
        page.get_by_role("button", name="Two names to keep apart").click()
        expect(page.locator("#inspector-filling .js-plotly-plot")).to_be_visible(
            timeout=PATIENCE_MS
        )
        expect(page.locator("#inspector-life .js-plotly-plot")).to_have_count(0)
        page.get_by_text("Researcher", exact=True).click()
        expect(page.locator("#inspector-life .js-plotly-plot")).to_be_visible(timeout=PATIENCE_MS)
        page.locator(".word-strip").first.get_by_text("frog").first.click()
        expect(page.locator(".chosen p").first).to_contain_text("“frog”", timeout=PATIENCE_MS)
        for view in ("path", "reading", "lens"):
            expect(page.locator(f"#inspector-{view} .js-plotly-plot")).to_be_visible()


def test_the_settings_offer_no_language_that_half_of_the_page_would_not_follow(
    browser: Browser, address: str
) -> None:
    with visit(browser, address) as page:
        page.get_by_role("button", name="Settings").click()
        expect(page.get_by_role("heading", name="Display Theme")).to_be_visible()
        language = page.get_by_role("heading", name="Language", include_hidden=True)
        expect(language).to_have_count(1)
        expect(language).to_be_hidden()


def test_the_page_fits_its_window_opened_in_the_dark_and_then_in_the_light(page: Page) -> None:
    page.get_by_role("tab", name="Chat").click()
    with one_answer(page):
        say(page, "Hello")
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        for width in (390, 1280):
            page.set_viewport_size({"width": width, "height": 844})
            for tab in ("Chat", "Completion", "State inspector"):
                page.get_by_role("tab", name=tab).click()
                assert page.evaluate("document.documentElement.scrollWidth") <= width
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness = sum(int(part) for part in re.findall(r"\d+", background)[:3])
        assert (brightness < 3 * 64) == (scheme == "dark")
