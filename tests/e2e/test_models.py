"""A model is fetched from a Hub on this machine, used, talked to, and left again."""

import json
import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser, Page, Route, expect

from tests.checkpoints import random_weights
from tests.e2e.serving import model_options, program
from tests.e2e.test_page import PATIENCE_MS, one_answer, say, visit
from tests.e2e.tools import call_tool, tool_names
from tests.hub_server import HubServer, serving

KEY = "someone/rwkv-small/small.pth"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    weights = random_weights(n_layer=2, n_embd=64, vocab_size=65536, dtype=torch.bfloat16)
    torch.save(weights, tmp_path / "small.pth")
    with serving(HubServer({KEY: (tmp_path / "small.pth").read_bytes()}), monkeypatch) as running:
        yield running


@contextmanager
def slowly(page: Page) -> Iterator[None]:
    """Let the page and what it asks be late, as on a busy machine; `visit` sees what is refused."""

    def wait(route: Route) -> None:
        page.wait_for_timeout(1500)
        route.continue_()

    page.route(re.compile("/run/predict$|/$"), wait)
    yield
    page.unroute_all(behavior="ignoreErrors")


def running_model(address: str) -> str:
    with urllib.request.urlopen(f"{address}v1/models", timeout=10) as answer:
        return str(json.load(answer)["data"][0]["id"])


def test_a_model_is_got_and_used_while_another_page_is_open_and_left_again(
    browser: Browser, hub: HubServer, tmp_path: Path
) -> None:
    environment = {
        "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hf"),
        "NO_PROXY": "*", "no_proxy": "*",
    }  # fmt: skip
    with (
        program(tmp_path, [*model_options(tmp_path), "--mcp"], environment) as (_, address),
        visit(browser, address) as other,
        visit(browser, address) as page,
    ):
        with one_answer(page):
            say(page, "Hi")
        before = running_model(address)
        assert sorted(tool_names(address)) == [
            "chat", "complete", "score", "snapshot", "tokenise",
        ]  # fmt: skip
        own_pieces = call_tool(address, "tokenise", text="Hello there")
        page.get_by_role("tab", name="Models").click()
        page.get_by_role("button", name="Find others on the Hugging Face Hub").click()
        page.get_by_label("Whose models").fill("someone")
        page.get_by_role("button", name="Search").click()
        page.locator(f"[data-model='{KEY}']").click()
        page.get_by_role("button", name="Get", exact=True).click()
        status = page.locator("#models-status")
        expect(status).to_contain_text("its checksum (sha256) is right", timeout=PATIENCE_MS)
        with slowly(page), page.expect_navigation():
            page.get_by_role("button", name="Use it").click()
        # The page loads itself again, and the chat is still there.
        expect(page.locator("#banner")).to_contain_text("small", timeout=PATIENCE_MS)
        expect(page.locator("#chat-status")).to_contain_text("the next message re-reads")
        expect(page.get_by_test_id("user")).to_have_text("Hi")
        assert running_model(address) == "small"
        assert "[33155, 39934]" in call_tool(address, "tokenise", text="Hello there")
        with one_answer(page):
            say(page, "And now?")

        # A page of the old model says so where it is asked, and offers a way on.
        say(other, "Hello?")
        expect(other.locator("#chat-status")).to_contain_text("was replaced by small; reload it")
        expect(other.get_by_label("Write a message")).to_have_value("Hello?")
        other.get_by_role("button", name="Load again").click(trial=True)

        page.get_by_role("tab", name="Models").click()
        page.get_by_role("button", name="Back to the shipped model").click()
        expect(page.locator("#banner")).to_contain_text("Pip", timeout=PATIENCE_MS)
        assert running_model(address) == before == "Pip"
        assert call_tool(address, "tokenise", text="Hello there") == own_pieces
