"""How much slower a model writes while a page streams: python -m benchmarks.neighbour --help.

One server, one Chromium. In turn: a program asks for an answer that comes whole at its end, and
the page's chat streams one to the browser, which draws it on the same cores. The server's own
count of written tokens gives both speeds, from a moment after the first to one before the last.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from benchmarks.first_answer import ROOT, free_port, is_served
from benchmarks.machine import machine
from benchmarks.peers_files import SHAPES, draw_model

START_S = 120
# Writing is under way so long before it is timed.
SETTLE_S = 0.5


def written(address: str) -> int:
    """Read how many tokens the server has written."""
    with urllib.request.urlopen(f"{address}metrics", timeout=10) as answer:
        text = answer.read().decode()
    found = re.search(r"^rwkv_tokens_written_total (\d+)$", text, re.MULTILINE)
    assert found
    return int(found[1])


def speed(
    count: Callable[[], int],
    seconds: float,
    *,
    patience_s: float = 60,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> float:
    """Wait until tokens are written, then count them for some time; tokens per second.

    Raises:
        RuntimeError: none came, or the answer ended too soon to be timed.
    """
    start, end = count(), clock() + patience_s
    while count() == start:
        if clock() > end:
            raise RuntimeError(f"no token was written in {patience_s:g} s")
        sleep(0.01)
    sleep(SETTLE_S)
    first, began = count(), clock()
    sleep(seconds)
    last, took = count(), clock() - began
    sleep(0.2)
    if count() == last:
        raise RuntimeError(f"the answer ended within {seconds:g} s; ask for a shorter time")
    return (last - first) / took


def ask(address: str, tokens: int) -> None:
    """Ask for an answer that comes whole."""
    body = {"prompt": "Once upon a time", "max_tokens": tokens, "temperature": 1, "seed": 1}
    request = urllib.request.Request(
        f"{address}v1/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=300) as answer:
        answer.read()


def quiet(address: str, seconds: float, tokens: int) -> float:
    """Measure without a stream."""
    asking = threading.Thread(target=ask, args=(address, tokens))
    asking.start()
    try:
        return speed(lambda: written(address), seconds)
    finally:
        asking.join()


def streaming(page: Page, address: str, seconds: float) -> float:
    """Measure while the page's chat streams."""
    page.get_by_placeholder("Write a message").fill("Tell me a story")
    page.keyboard.press("Enter")
    try:
        return speed(lambda: written(address), seconds)
    finally:
        page.keyboard.press("Escape")
        before = -1
        while (now := written(address)) != before:
            before = now
            time.sleep(0.3)


@contextmanager
def served(model: Path | None, strategy: str, threads: int) -> Iterator[str]:
    """Run the program; gives its address."""
    port = free_port()
    command = [sys.executable, "app.py", "--port", str(port), "--threads", str(threads), "--api"]
    command += ["--strategy", strategy, *(["--model", str(model.resolve())] if model else [])]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + START_S
        while not is_served(port):
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"no page after {START_S} s")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.kill()
        server.wait()


@contextmanager
def opened(address: str, chromium: str) -> Iterator[Page]:
    """Open the page in a browser, its chat in view."""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(address)
        page.get_by_role("button", name="No, thanks").click(timeout=60_000)
        yield page
        browser.close()


def main(arguments: list[str] | None = None) -> None:
    """Measure, print a line for each round and the medians, and write them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.neighbour", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--model", type=Path, help="a checkpoint; random weights if none")
    parser.add_argument("--shape", choices=SHAPES, default="0.1b", help="of the random weights")
    parser.add_argument("--strategy", default="cpu int8")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.5, help="that each is timed")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--json", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or draw_model(Path(folder), options.shape, with_gguf=False)
        with (
            served(model, options.strategy, options.threads) as address,
            opened(address, options.chromium) as page,
        ):
            for _ in range(options.rounds):
                alone = quiet(address, options.seconds, 400)
                beside = streaming(page, address, options.seconds)
                rounds.append({"quiet": round(alone, 1), "streaming": round(beside, 1)})
                print(json.dumps(rounds[-1]), flush=True)
    results: dict[str, Any] = {
        "model": options.model.name if options.model else f"random {options.shape}",
        "strategy": options.strategy,
        "threads": options.threads,
        "quiet_tokens_per_s": statistics.median(row["quiet"] for row in rounds),
        "streaming_tokens_per_s": statistics.median(row["streaming"] for row in rounds),
        "kept": round(statistics.median(row["streaming"] / row["quiet"] for row in rounds), 3),
        "rounds": rounds,
        "machine": machine(),
    }
    print(json.dumps(results))
    if options.json:
        options.json.write_text(json.dumps(results) + "\n")


if __name__ == "__main__":
    main()
