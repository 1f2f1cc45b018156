"""Load a served page with many clients at once: python -m benchmarks.serving --help.

Each client is one of Gradio's own, behind an address of its own, and asks for one answer after
the other, in a process apart from the server's.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from gradio_client import Client

from benchmarks.first_answer import ROOT, free_port, is_served
from benchmarks.machine import machine

ANSWER_TOKENS = 64
ANSWER_S = 300.0  # until a client gives an answer up
LOOK_S = 0.05  # between two looks for the first words; Gradio's client itself looks as often
BUSY_WORDS = ("slots are taken", "Queue is full", "requests a minute")
STARTS = (
    "Once upon a time there was", "The little dog", "Tom had a red kite and", "One windy day",
    "The old tree in the garden", "Anna looked at the moon and", "In the deep forest", "A small boat",
)  # fmt: skip


@dataclass
class Seen:
    """What one client saw; only its own thread writes it.

    Attributes:
        first_s: seconds to the first words of each answer.
        whole_s: seconds to the end of each.
        busy: answers refused because everything was taken.
        errors: what else went wrong, by its first words.
    """

    first_s: list[float] = field(default_factory=list)
    whole_s: list[float] = field(default_factory=list)
    busy: int = 0
    errors: Counter[str] = field(default_factory=Counter)


def connected(address: str, number: int) -> Client:
    """Open the page as a visitor does.

    Raises:
        Exception: whatever the client says.
    """
    # A visitor's own address, as a proxy on this machine would pass it on. And certificates would
    # be read from disk for each request, 20 ms of a core each time.
    headers = {"X-Forwarded-For": f"198.18.{number // 250}.{number % 250 + 1}"}
    return Client(address, headers=headers, verbose=False, ssl_verify=False)


def visit(client: Client, number: int, until: float, think_s: float, seen: Seen) -> None:
    """Ask for answers until the time is over, pausing before each as people do."""
    rng = random.Random(number)
    # People do not come in step.
    time.sleep(rng.uniform(0, 1) * think_s)
    while time.monotonic() < until:
        try:
            ask(client, rng, seen)
        except Exception as error:
            text = str(error)
            if any(words in text for words in BUSY_WORDS):
                seen.busy += 1
            else:
                seen.errors[f"{type(error).__name__}: {text[:80]}"] += 1
        time.sleep(rng.uniform(0.5, 1.5) * think_s)
    # As a closed tab does; the server then forgets the visitor.
    client.close()


def ask(client: Client, rng: random.Random, seen: Seen) -> None:
    """Ask for one answer and note when its words came.

    Raises:
        Exception: whatever the client says.
    """
    began = time.monotonic()
    text = f"{rng.choice(STARTS)} {rng.randrange(1000)}"
    job = client.submit(text, "Balanced", ANSWER_TOKENS, rng.randrange(2**31), api_name="/complete")
    # Iterating over the job would look a thousand times a second, for each of the clients.
    while not job.outputs() and not job.done():
        time.sleep(LOOK_S)
    first = time.monotonic() - began
    job.result(timeout=ANSWER_S)
    seen.first_s.append(first)
    seen.whole_s.append(time.monotonic() - began)


def measured(address: str) -> dict[str, float]:
    """Read the server's own counts, by name; a histogram's parts are left out."""
    with urllib.request.urlopen(f"{address}metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    plain = (
        line.split(" ") for line in lines if not line.startswith("#") and "_bucket" not in line
    )
    return {name: float(value) for name, value in plain}


def cpu_seconds(pid: int) -> float:
    """Read how long a process has computed, in all its threads; Linux only."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value that this share of all lies below; None without values."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3) if ordered else None


def summary(clients: Sequence[Seen], minutes: float) -> dict[str, Any]:
    """Sum up what the clients saw."""
    first = [value for seen in clients for value in seen.first_s]
    whole = [value for seen in clients for value in seen.whole_s]
    busy = sum(seen.busy for seen in clients)
    errors: Counter[str] = Counter()
    for seen in clients:
        errors += seen.errors
    asked = len(whole) + busy + sum(errors.values())
    return {
        "clients": len(clients),
        "minutes": minutes,
        "answers": len(whole),
        "answers_per_s": round(len(whole) / (60 * minutes), 2),
        "answers_of_a_client_least": min((len(seen.whole_s) for seen in clients), default=0),
        "first_words_s_median": percentile(first, 0.5),
        "first_words_s_p95": percentile(first, 0.95),
        "whole_answer_s_median": percentile(whole, 0.5),
        "whole_answer_s_p95": percentile(whole, 0.95),
        "busy_share": round(busy / asked, 4) if asked else 0.0,
        "errors": dict(errors.most_common(10)),
    }


def load(address: str, count: int, minutes: float, think_s: float) -> dict[str, Any]:
    """Let clients open the page, and once all are there, ask until the time is over.

    Gradio's client takes a quarter of a second of a core to read the page's description, which
    a browser does in its own machine.
    """
    began = time.monotonic()
    with ThreadPoolExecutor(2) as arriving:
        clients = list(arriving.map(partial(connected, address), range(count)))
    connecting_s = time.monotonic() - began
    seen = [Seen() for _ in clients]
    until = time.monotonic() + 60 * minutes
    threads = [
        threading.Thread(target=visit, args=(client, number, until, think_s, seen[number]))
        for number, client in enumerate(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"connecting_s": round(connecting_s, 1), **summary(seen, minutes)}


def main(arguments: list[str] | None = None) -> None:
    """Serve a page of our own, load it, print what came of it, and write it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument(
        "--think", type=float, default=22.0, help="mean seconds between two answers"
    )
    parser.add_argument("--threads", type=int, default=1, help="of the model")
    parser.add_argument(
        "--settle", type=float, default=20, help="seconds before memory is read again"
    )
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    port = free_port()
    address = f"http://127.0.0.1:{port}/"
    server = subprocess.Popen(
        [sys.executable, "app.py", "--port", str(port), "--threads", str(options.threads)],
        cwd=ROOT, stdout=subprocess.DEVNULL, env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    try:
        limit = time.monotonic() + 120
        while not is_served(port) and time.monotonic() < limit:
            time.sleep(0.1)
        # A few answers first: what they allocate stays.
        load(address, 4, 0.1, 0.1)
        before, cpu_before = measured(address), cpu_seconds(server.pid)
        results = load(address, options.clients, options.minutes, options.think)
        at_end = measured(address)
        time.sleep(options.settle)
        after = measured(address)
        for name, counts in (("before", before), ("at_end", at_end), ("settled", after)):
            results[name] = {
                "resident_mb": round(counts["rwkv_resident_bytes"] / 1e6, 1),
                "kept_memories_mb": round(counts["rwkv_store_bytes"] / 1e6, 1),
                "visitors": counts["rwkv_sessions"],
            }
        results["server_cpu_s_per_answer"] = round(
            (cpu_seconds(server.pid) - cpu_before) / max(1, results["answers"]), 4
        )
        tokens = after["rwkv_tokens_written_total"] - before["rwkv_tokens_written_total"]
        results["tokens_written_per_s"] = round(tokens / (60 * options.minutes), 1)
        results["texts_left_running"] = after["rwkv_texts_running"] + after["rwkv_texts_waiting"]
    finally:
        server.terminate()
        server.wait()
    results["think_s"] = options.think
    results["machine"] = machine()
    print(json.dumps(results, indent=1))
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
