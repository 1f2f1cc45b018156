"""Promises of docs/security.md that only the whole program can keep."""

import re
import urllib.request
from pathlib import Path
from urllib.error import HTTPError

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.test_page import one_answer, say, visit

ROOT = Path(__file__).parents[2]
NAMED_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_every_threat_names_a_test_that_exists() -> None:
    rows = re.findall(r"^\| .* \|$", (ROOT / "docs/security.md").read_text(), re.MULTILINE)[1:]
    assert len(rows) > 15
    for row in rows:
        named = NAMED_TEST.findall(row.rsplit("|", 2)[1])
        assert named, row
        for path, name in named:
            assert f"def {name}(" in (ROOT / path).read_text(), name


@pytest.mark.parametrize(
    "path", ["app.py", "/etc/passwd", "presets/limits.toml", "..%2fapp.py", "README.md"]
)
def test_no_file_of_the_server_is_given_out(address: str, path: str) -> None:
    for form in ("gradio_api/file=", "gradio_api/file/", "static/", "assets/", ""):
        with pytest.raises(HTTPError) as caught:
            urllib.request.urlopen(f"{address}{form}{path}", timeout=10)
        assert caught.value.code in (403, 404)


def test_a_script_that_slipped_in_does_not_run(browser: Browser, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    page.get_by_label("Write a message").wait_for()
    page.evaluate("""() => {
        const script = document.createElement("script");
        script.textContent = "window.slippedIn = true";
        document.body.append(script);
        document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='slippedIn = true'>");
    }""")
    page.wait_for_function("[...document.images].at(-1).complete")
    assert page.evaluate("window.slippedIn") is None
    page.close()


def test_what_a_chat_holds_stays_within_its_message(browser: Browser, address: str) -> None:
    with visit(browser, address) as page:
        with one_answer(page):
            say(page, "Hello")
        cover = '<a href="#" style="position:fixed;inset:0;z-index:9999">Sign in again</a><form>x</form>'
        answer = page.locator("#chat .bot .message-content .md").last
        answer.evaluate("(shown, html) => shown.insertAdjacentHTML('beforeend', html)", cover)
        for x, y in ((20, 20), (640, 200), (1200, 600)):
            found = page.evaluate("([x, y]) => document.elementFromPoint(x, y).textContent", [x, y])
            assert found != "Sign in again"
        expect(answer.locator("form")).to_be_hidden()
        page.get_by_role("tab", name="State inspector").click()
