from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.e2e.test_page import one_answer, say, visit


def test_a_saved_memory_is_loaded_after_a_reload_and_answers(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    with visit(browser, address) as page:
        with one_answer(page):
            say(page, "My name is Nora.")
        keep = page.get_by_role("button", name="Keep this memory").first
        keep.click()
        # A wide window opens the drawer by itself, and moves the page aside for it.
        chosen = page.locator("#shelf-items label.selected")
        expect(chosen).to_contain_text("“My name is Nora.”")
        kept, drawer = keep.bounding_box(), page.locator("#shelf").bounding_box()
        assert kept
        assert drawer
        assert kept["x"] + kept["width"] <= drawer["x"]
        with page.expect_download() as download:
            page.locator("#shelf-save").click()
        file = tmp_path / download.value.suggested_filename
        assert file.name == "My-name-is-Nora.safetensors"
        download.value.save_as(file)
    with visit(browser, address, 390) as page:
        page.locator("#shelf-open").click()
        with page.expect_file_chooser() as chooser:
            page.locator("#shelf-load").click()
        chooser.value.set_files(file)
        expect(page.locator("#shelf-status")).to_contain_text("Loaded")
        page.get_by_role("button", name="Go on in Chat").click()
        # In a narrow one it covers the chat, and closes for it.
        expect(page.locator("#shelf")).to_be_hidden()
        expect(page.locator("#chat-status")).to_contain_text("in the memory already")
        with one_answer(page):
            say(page, "What is my name?")
        expect(page.locator("#chat-status")).to_contain_text("re-read 0 tokens")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.locator("#shelf-open").click()
        page.get_by_role("button", name="Go on in Completion").click()
        box = page.locator("#completion-box textarea")
        expect(page.locator("#completion-memory")).to_contain_text("tokens")
        box.fill(" Then")
        page.reload()
        # The loaded memory went with the page, which says so; nothing of the text is lost.
        expect(page.locator("#shelf-status")).to_contain_text("Gone with the page: 1")
        page.reload()
        page.get_by_role("tab", name="Completion").click()
        expect(box).to_have_value(" Then")
        expect(page.locator("#completion-status")).to_contain_text("no longer held here")
        expect(page.locator("#shelf-status")).not_to_contain_text("Gone")


def test_a_kept_text_stays_on_the_shelf_over_a_reload(browser: Browser, address: str) -> None:
    with visit(browser, address) as page:
        with one_answer(page):
            say(page, "My name is Nora.")
        page.get_by_role("button", name="Keep this memory").first.click()
        opener = page.locator("#shelf-open")
        expect(opener).to_contain_text("1")
        page.reload()
        expect(opener).to_contain_text("1")
        opener.click()
        expect(page.locator("#shelf-status")).to_contain_text("is here (1)")
        page.locator("#chat-new").click()
        page.get_by_role("button", name="Go on in Chat").click()
        expect(page.locator("#chat .user-row")).to_have_text("My name is Nora.")
        with one_answer(page):
            say(page, "What is my name?")
        expect(page.get_by_test_id("bot").last).to_contain_text("Nora")
        page.locator("#shelf-drop").click()
        expect(page.locator("#shelf-items label")).to_have_count(0)
        page.reload()
        expect(page.locator("#chat .user-row").first).to_be_visible()
        expect(opener).not_to_contain_text("1")
