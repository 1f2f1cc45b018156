import re
import shutil
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

import presets
from tests.checkpoints import random_weights, write_safetensors
from tests.e2e.serving import program
from tests.e2e.test_page import LONG_TEXT, PATIENCE_MS, one_answer, say, visit

# A second, and what a busy machine may add to it.
FREED_S = 3
# The names under which the browser keeps chats.
KEPT = "Object.keys(localStorage).filter((name) => name.startsWith('rwkv-playground-chat:'))"


def texts_running(address: str) -> int:
    """How many texts the engine reads or writes now."""
    with urllib.request.urlopen(f"{address}metrics", timeout=5) as answer:
        found = re.search(r"^rwkv_texts_running (\d+)", answer.read().decode(), re.MULTILINE)
    assert found
    return int(found[1])


def wait_until_still(page: Page) -> None:
    """Wait until the page has not scrolled for a moment.

    A second column is scrolled into view 100 ms after it was opened: a button of the mouse that
    goes down before that and up after it has clicked nothing.
    """
    page.evaluate(
        """() => new Promise((still) => {
            let seen = scrollY
            const look = () => {
                if (scrollY === seen) return still()
                seen = scrollY
                setTimeout(look, 400)
            }
            setTimeout(look, 400)
        })"""
    )


def test_the_second_column_has_all_that_the_first_one_has(browser: Browser, address: str) -> None:
    with visit(browser, address) as page:
        with one_answer(page):
            say(page, "Hello there")
        page.get_by_label("Fork here").first.click()
        box, status = page.locator("#fork-box textarea"), page.locator("#fork-status")
        box.fill("# Big <b>words</b> and *stars*")
        box.press("Enter")
        own = page.locator("#fork").get_by_test_id("user").last
        expect(own).to_have_text("# Big <b>words</b> and *stars*", timeout=PATIENCE_MS)
        expect(own.locator("h1, b, em")).to_have_count(0)
        expect(status).to_contain_text("seed", timeout=PATIENCE_MS)
        wait_until_still(page)
        page.locator("#fork").get_by_label("Retry").click()
        versions = page.locator("#fork .turn-tools").last
        expect(versions).to_contain_text("2/2", timeout=PATIENCE_MS)
        expect(page.locator("#fork").get_by_label("Fork here")).to_have_count(0)
        wait_until_still(page)
        box.press("ArrowUp")
        edit = page.locator("#fork .user-row textarea")
        expect(edit).to_be_focused()
        page.keyboard.press("Escape")
        expect(edit).to_have_count(0)
        expect(page.locator("#fork .message-buttons-right .icon-button").last).to_be_focused()
        page.keyboard.press("Enter")
        edit.fill("Bye")
        edit.press("Enter")
        expect(own).to_have_text("Bye", timeout=PATIENCE_MS)
        edited = page.locator("#fork .message-buttons-right .turn-tools").last
        expect(edited).to_contain_text("2/2", timeout=PATIENCE_MS)


def test_the_line_about_a_draft_goes_with_it(browser: Browser, address: str) -> None:
    with visit(browser, address) as page:
        counts = page.locator("#chat-counts .counts")
        page.locator("#chat-box textarea").fill("Hello there")
        expect(counts).to_contain_text("11 characters", timeout=PATIENCE_MS)
        expect(counts).to_be_visible()
        with one_answer(page):
            page.locator("#chat-box textarea").press("Enter")
        expect(counts).to_be_hidden()


def test_the_first_minute_example_fork_both_go_on_and_a_reload_brings_it_back(
    browser: Browser, address: str
) -> None:
    with visit(browser, address) as page:
        with one_answer(page):
            page.get_by_role("button", name="Select example 2").click()
        page.get_by_label("Fork here").first.click()
        expect(page.locator("#fork").get_by_test_id("user")).to_have_count(1, timeout=PATIENCE_MS)
        wait_until_still(page)
        page.get_by_label("Send to both columns").check()
        with one_answer(page):
            say(page, "What is my name?")
        for column in ("#chat", "#fork"):
            expect(page.locator(column).get_by_test_id("user")).to_have_count(
                2, timeout=PATIENCE_MS
            )
        expect(page.locator("#fork-status")).to_contain_text(
            "re-read 0 tokens", timeout=PATIENCE_MS
        )
        with one_answer(page):
            page.locator("#chat").get_by_label("Retry").last.click()
        expect(page.locator("#chat .turn-tools").last).to_contain_text("2/2", timeout=PATIENCE_MS)
        page.get_by_label("Earlier version").last.click()
        expect(page.locator("#chat-status")).to_contain_text(
            "re-read 0 tokens", timeout=PATIENCE_MS
        )
        expect(page.locator("#chat .turn-tools").last).to_contain_text("1/2", timeout=PATIENCE_MS)
        # The browser writes its storage a moment after the page has shown the change.
        expect(page.locator("#chat-picker input")).to_have_value(re.compile("My name is"))
        page.wait_for_function(f"{KEPT}.length === 1")
        page.reload()
        expect(page.locator("#chat-status")).to_contain_text(
            "Back from this browser", timeout=PATIENCE_MS
        )
        expect(page.locator("#chat").get_by_test_id("user")).to_have_count(2, timeout=PATIENCE_MS)


def test_a_visitors_words_are_shown_as_they_were_written_and_edited_in_place(
    browser: Browser, address: str
) -> None:
    words = "def f(x):\n    return x\n\n# no heading, 2*3*4 <b>hello</b> " + "a" * 300
    with visit(browser, address, 390) as page:
        with one_answer(page):
            say(page, words)
        said = page.locator("#chat .user.message")
        expect(said).to_have_text(words, use_inner_text=True)
        bubble, frame = said.bounding_box(), page.locator("#chat").bounding_box()
        assert bubble
        assert frame
        assert bubble["x"] >= frame["x"]
        page.get_by_label("Edit").click()
        box = said.locator("textarea")
        expect(box).to_have_value(words)
        box.press("Escape")
        expect(box).to_have_count(0)
        # However long a message, what sends it is in sight.
        page.get_by_label("Write a message").fill("line\n" * 30)
        expect(page.locator("#chat-box .submit-button")).to_be_in_viewport(ratio=1)


def test_two_windows_keep_all_chats_and_one_that_was_deleted_goes_with_its_link(
    browser: Browser, address: str
) -> None:
    with visit(browser, address) as first:
        second, third = first.context.new_page(), first.context.new_page()
        second.goto(address)
        second.get_by_label("Write a message").wait_for()
        for count, page in enumerate((first, second), 1):
            with one_answer(page):
                say(page, f"window {count}")
            page.wait_for_function(f"{KEPT}.length === {count}")
        second.get_by_role("button", name="New chat").click()
        with one_answer(second):
            say(second, "to be deleted")
        second.wait_for_function(f"{KEPT}.length === 3")
        second.get_by_role("button", name="Your chats").click()
        second.locator("#chat-make-link").click()
        link = second.locator("#chat-link textarea")
        expect(link).to_have_value(re.compile("recipe="))
        second.locator("#chat-delete").click()
        expect(link).to_have_value("")
        second.wait_for_function(f"{KEPT}.length === 2")
        third.goto(address)
        expect(third.locator("#chat-status")).to_contain_text("Back from this browser")
        third.locator("#chat-picker input").click()
        expect(third.get_by_role("option")).to_have_text(
            [re.compile("window 2"), re.compile("window 1")]
        )
        # Each window comes back to its own chat, whichever was kept last.
        first.reload()
        expect(first.locator("#chat .user-row")).to_have_text("window 1")


def test_two_visitors_never_see_or_stop_each_other_and_one_who_vanishes_frees_the_engine(
    browser: Browser, address: str
) -> None:
    with visit(browser, address) as first, visit(browser, address) as second:
        say(first, f"zebra {LONG_TEXT}")
        say(second, f"walrus {LONG_TEXT}")
        for page in (first, second):
            expect(page.locator("#chat-status")).to_contain_text("Reading:", timeout=PATIENCE_MS)
        first.keyboard.press("Escape")
        expect(first.locator("#chat-status")).to_contain_text("Stopped.", timeout=PATIENCE_MS)
        expect(second.locator("#chat-status")).to_contain_text("Reading:")
        assert "walrus" not in first.content()
        assert "zebra" not in second.content()
        assert texts_running(address) == 1
        second.close()
        assert seconds_until_free(address) < FREED_S


def test_a_reload_in_the_middle_of_an_answer_brings_the_message_back(
    browser: Browser, address: str
) -> None:
    # Whoever leaves breaks requests off, which the console of the page that is gone may say.
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    box, status = page.get_by_label("Write a message"), page.locator("#chat-status")
    box.wait_for()
    say(page, LONG_TEXT)
    expect(status).to_contain_text("Reading:", timeout=PATIENCE_MS)
    page.wait_for_function("sessionStorage.getItem('rwkv-playground-asked') !== null")
    page.reload()
    expect(box).to_have_value(LONG_TEXT)
    box.fill("Hi")
    with one_answer(page):
        box.press("Enter")
    page.wait_for_function("sessionStorage.getItem('rwkv-playground-asked') === null")
    context.close()


def test_an_answer_cut_off_by_a_reload_is_back_and_can_go_on(
    browser: Browser, tmp_path: Path
) -> None:
    # Wide enough to write for minutes.
    weights = random_weights(n_layer=12, n_embd=512, head_size=64, vocab_size=4096)
    shutil.copy(presets.default_model_path().with_name("tokenizer.json"), tmp_path)
    options = ["--model", str(write_safetensors(tmp_path / "model.safetensors", weights))]
    context = browser.new_context()
    with program(tmp_path, options, {"HF_HUB_OFFLINE": "1"}) as (_, address):
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        say(page, "Tell me of the walrus")
        page.wait_for_function(f"{KEPT}.some((name) => localStorage[name].includes('walrus'))")
        page.reload()
        own, answer = (page.locator("#chat").get_by_test_id(who) for who in ("user", "bot"))
        expect(own).to_have_text(["Tell me of the walrus"])
        expect(answer).to_have_count(1)
        before = answer.inner_text()
        assert before
        expect(page.get_by_label("Write a message")).to_have_value("")
        page.locator("#chat-go-on").click()
        expect(page.locator("#chat-status")).to_contain_text("Writing.")
        page.wait_for_function(
            "(length) => document.querySelector('#chat [data-testid=bot]').innerText.length > length",
            arg=len(before),
        )
        assert answer.inner_text().startswith(before[:50])
        context.close()


def test_whoever_leaves_in_the_middle_of_an_answer_frees_the_engine_within_a_second(
    browser: Browser, address: str
) -> None:
    # Whoever leaves breaks requests off, which the console of the page that is gone may say.
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    ways: list[Callable[[], object]] = [
        lambda: page.goto("about:blank"),
        lambda: page.reload(wait_until="commit"),
        context.close,
    ]
    for leave in ways:
        page.goto(address)
        page.get_by_label("Write a message").wait_for()
        assert seconds_until_free(address) < FREED_S, "somebody else's text runs"
        say(page, LONG_TEXT)
        status = page.locator("#chat-status")
        expect(status).to_contain_text("Reading:", timeout=PATIENCE_MS)
        limit = time.monotonic() + PATIENCE_MS / 1000
        while texts_running(address) != 1:
            assert time.monotonic() < limit, f"the text never ran: {status.inner_text()}"
            time.sleep(0.02)
        leave()
        assert seconds_until_free(address) < FREED_S


def seconds_until_free(address: str) -> float:
    """How long the engine still runs a text that nobody reads any more."""
    left = time.monotonic()
    while texts_running(address) and time.monotonic() < left + 10:
        time.sleep(0.02)
    return time.monotonic() - left
