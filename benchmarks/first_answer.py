"""Measure how long a visitor waits: python -m benchmarks.first_answer --help."""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import presets
from benchmarks.machine import machine
from rwkv_core.engine import Engine
from rwkv_core.generate import GenerationSettings
from rwkv_core.models import load_model
from rwkv_core.tokenizer import load_tokenizer

ROOT = Path(__file__).parent.parent
POLL_S = 0.01


def measure_answers(engine: Engine, text: str, times: int) -> dict[str, Any]:
    """Send a text in fresh sessions; medians in milliseconds, from submission.

    Args:
        engine: with the model; one answer beforehand warms it up.
        text: what the visitor says.
        times: how often, each with its own seed.
    """
    template, preset = presets.chat_template(), presets.sampling_presets()[1]
    settings = GenerationSettings(
        preset.settings,
        max_tokens=preset.max_tokens,
        stop=template.stop,
        stop_tokens=(engine.tokenizer.end_of_text,),
    )
    prompt = template.user_turn(text, first=True)
    first_ms, whole_ms, tokens = [], [], []
    for number in range(times + 1):
        start = time.perf_counter()
        ids = [engine.tokenizer.end_of_text, *engine.encode(prompt)]
        stream = engine.submit(f"visitor {number}", ids, settings)
        for _ in stream:
            pass
        whole_ms.append(1000 * (time.perf_counter() - start))
        assert stream.result is not None
        first_ms.append(1000 * stream.result.first_token_s)
        tokens.append(len(stream.result.generated_ids))
    return {
        "text": text,
        "times": times,
        "first_token_ms": round(statistics.median(first_ms[1:]), 2),
        "first_token_ms_worst": round(max(first_ms[1:]), 2),
        "whole_answer_ms": round(statistics.median(whole_ms[1:]), 2),
        "answer_tokens": statistics.median(tokens[1:]),
    }


def seconds_to_page(command: list[str], port: int, *, timeout_s: float = 120) -> float:
    """Start a server and return the seconds until it answers GET / with 200.

    Raises:
        RuntimeError: it ended or did not answer in time.
    """
    start = time.perf_counter()
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        while time.perf_counter() - start < timeout_s:
            if server.poll() is not None:
                raise RuntimeError(f"the server ended with status {server.returncode}")
            if is_served(port):
                return time.perf_counter() - start
            time.sleep(POLL_S)
        raise RuntimeError(f"no page after {timeout_s} seconds")
    finally:
        server.terminate()
        server.wait()


def is_served(port: int) -> bool:
    """Return whether a page is served at a port of this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(arguments: list[str] | None = None) -> None:
    """Measure both waits, print them, and write them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_answer", description=__doc__)
    parser.add_argument("--model", type=Path, default=presets.default_model_path())
    parser.add_argument("--strategy", help="of the model; chosen for this machine")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--starts", type=int, default=3, help="of the page; one more warms up")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    model = load_model(options.model, options.strategy)
    tokenizer, _ = load_tokenizer(options.model, model.config.vocab_size)
    with Engine(model, tokenizer) as engine:
        results: dict[str, Any] = {"answer": measure_answers(engine, "Hello", options.times)}
    results["choices"] = {name: choice.value for name, choice in model.choices.items()}
    waits = []
    for _ in range(options.starts + 1 if options.starts else 0):
        port = free_port()
        command = [sys.executable, "app.py", "--port", str(port), "--model"]
        waits.append(seconds_to_page([*command, str(options.model.resolve())], port))
    if waits:
        results["page_s"] = round(statistics.median(waits[1:]), 2)
        results["page_s_first_start"] = round(waits[0], 2)
    results["machine"] = machine()
    print(json.dumps(results, indent=1))
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
