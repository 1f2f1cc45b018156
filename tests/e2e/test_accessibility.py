"""What axe finds: nothing serious on any tab, in the light and in the dark."""

import re
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # has none
from playwright.sync_api import Browser, Page, expect

from tests.e2e.test_page import PATIENCE_MS, visit

SERIOUS = ("serious", "critical")
# Not serious to axe, but how one finds the way through a page.
ORDER = ("heading-order", "empty-table-header")

CONTRAST = {"runOnly": ["color-contrast"]}
# A chat with thoughts, which the shipped model does not have.
CHATS = """{"format": "rwkv-chats", "version": 1, "chats": [{"title": "", "tip": 0, "turns": [
    {"parent": null, "child": null, "user": "What is 2 + 2?", "thinking": "A sum.",
     "answer": " It is **4**.", "live": "<think>A sum.</think> It is **4**.", "made": []}]}]}"""
# Without a hint beside a control, pointing at it must give it one.
WITHOUT_HINT = """() => [...document.querySelectorAll(
    "button:not([tabindex='-1']), input, select, textarea, summary")].filter((control) => {
  const place = control.getBoundingClientRect();
  const isHidden = getComputedStyle(control).visibility === "hidden";
  if (place.width < 2 || control.disabled || isHidden) return false;
  control.dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
  const block = control.closest(".block");
  return !control.closest("[title]:not([title=''])") &&
    (block?.querySelector(".label-wrap") || !block?.querySelector("[class*=info]"));
}).map((control) => control.outerHTML.slice(0, 200))"""


def faults(page: Page, *, in_the_dark: bool = True) -> list[str]:
    """What is serious in the light, and what cannot be read in the dark; controls without hint."""
    # Colours change at once, as for those who want no motion.
    page.emulate_media(reduced_motion="reduce")
    # Of a figure the words beside it are what is read; its thousands of paths only take time.
    page.evaluate("document.querySelectorAll('.plot-container').forEach(it => it.remove())")
    found = Axe().run(page).response["violations"]
    if in_the_dark:
        page.evaluate("document.body.classList.add('dark')")
        found += Axe().run(page, options=CONTRAST).response["violations"]
        page.evaluate("document.body.classList.remove('dark')")
    serious = [
        f"{fault['id']}: {node['html'][:200]}"
        for fault in found
        if fault["impact"] in SERIOUS or fault["id"] in ORDER
        for node in fault["nodes"]
    ]
    return serious + [f"no hint: {control}" for control in page.evaluate(WITHOUT_HINT)]


def test_axe_finds_nothing_serious_where_one_talks_and_every_control_has_a_hint(
    browser: Browser, address: str, tmp_path: Path
) -> None:
    file = tmp_path / "chats.json"
    file.write_text(CHATS)
    with visit(browser, address) as page:
        assert faults(page) == [], "an empty chat"
        for fold in page.locator("#tab-chat .label-wrap").all():
            fold.click()
        with page.expect_file_chooser() as chooser:
            page.locator("#chat-import").click()
        chooser.value.set_files(file)
        expect(page.get_by_test_id("bot").last).to_contain_text("It is 4.")
        for _ in range(2):
            page.locator("#tab-chat .keep").click()
            expect(page.locator("#shelf-status")).to_be_visible()
            page.locator("#shelf-close").click()
        expect(page.locator("#shelf-items label")).to_have_count(2)
        page.get_by_label("Fork here").click()
        expect(page.locator("#fork").get_by_test_id("bot").last).to_be_visible()
        page.locator("#shelf-open").click()
        expect(page.locator("#shelf-close")).to_be_focused()
        assert faults(page) == [], "a chat with a thought, its fork, and the shelf"
        page.locator("#shelf-close").click()

        page.get_by_role("tab", name="Completion").click()
        page.locator("#completion-box textarea").fill("Tom found a box.")
        page.locator("#completion-more").click()
        expect(page.locator(".versions button")).to_have_count(4, timeout=PATIENCE_MS)
        assert faults(page) == [], "four versions"
        page.locator(".versions button").first.click()
        page.locator("#completion-words .token").nth(3).click()
        expect(page.locator(".word-card")).to_be_visible()
        assert faults(page) == [], "likely words"


def test_axe_finds_nothing_serious_after_a_look_and_every_control_has_a_hint(
    browser: Browser, address: str
) -> None:
    with visit(browser, address) as page:
        page.get_by_role("tab", name="State inspector").click()
        page.locator("#inspector-chips button").last.click()
        drawn = page.locator("#inspector-filling .js-plotly-plot")
        expect(drawn).to_be_visible(timeout=PATIENCE_MS)
        page.get_by_text("Researcher", exact=True).click()
        drawn = page.locator("#inspector-life .js-plotly-plot")
        expect(drawn).to_be_visible(timeout=PATIENCE_MS)
        named = page.locator("#inspector-life .js-plotly-plot")
        expect(named).to_have_attribute("aria-label", re.compile(r"\w+ \w+"))
        expect(named).to_have_attribute("role", "img")
        assert faults(page) == [], "see"
        for tab in ("compare", "change", "experiment", "how"):
            page.locator(f"#inspector-tab-{tab}-button").click()
            panel = page.locator(f"#inspector-tab-{tab}")
            if tab == "how":
                page.locator("#how-text textarea").fill("A red ball.")
                page.locator("#how-go").click()
            else:
                panel.locator(".study-chips button").first.click()
            expect(panel.locator(".js-plotly-plot").first).to_be_visible(timeout=PATIENCE_MS)
            expect(panel.locator(".actions .primary").first).to_be_visible(timeout=PATIENCE_MS)
            # What these are made of was seen in the dark above, or is on the last of them.
            assert faults(page, in_the_dark=tab == "how") == [], tab
        page.get_by_role("tab", name="Models").click()
        expect(page.locator("#models-table tr").nth(3)).to_be_visible()
        assert faults(page) == [], "models"


def test_the_tour_is_offered_once_and_shows_what_it_speaks_of(
    browser: Browser, address: str
) -> None:
    with visit(browser, address) as page:
        page.locator("#tour").get_by_role("button", name="Show me").click()
        for place in range(1, 6):
            expect(page.locator(".tour-place")).to_have_text(f"{place} / 5")
            page.keyboard.press("Enter")
        expect(page.locator(".tour-card")).to_have_count(0)
        expect(page.locator("#tour-open")).to_be_focused()
        page.get_by_role("tab", name="Models").click()
        page.locator("#tour-open").click()
        expect(page.locator("#chat-box.tour-target")).to_be_visible()
        page.keyboard.press("Escape")
        page.reload()
        # Pressed from the first moment on: the page is drawn before its code and its words are there.
        page.wait_for_function(
            "document.querySelector('.tour-place')"
            " || void document.querySelector('#tour-open')?.click()"
        )
        expect(page.locator(".tour-place")).to_have_text("1 / 5")
        page.keyboard.press("Escape")
        expect(page.locator("#tour button")).to_have_count(0)
