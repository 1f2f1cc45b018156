"""From raw figures of benchmarks.peers to ratios and a table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

OURS = "ours"
TASKS = ("decode", "prefill", "batch")
# Relative L2 of logits from those of fp32, for all engines alike: how far the roundings of a
# format move them. One that skips work is further off.
TOLERANCES: Mapping[str, float] = {"fp32": 1e-3, "bf16": 0.05, "int8": 0.1, "int4": 0.5}


def relative_l2(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Measure how far logits lie from others, over the size of those."""
    apart = np.linalg.norm(found.astype(np.float64) - expected)
    return float(apart / np.linalg.norm(expected.astype(np.float64)))


def summarise(rounds: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Take medians over rounds: of each engine's speed, and of ours over its in the same round.

    Args:
        rounds: {"task", "tokens_per_s": {engine: speed}}, in any order.

    Returns:
        Task -> engine -> "tokens_per_s", and where ours ran too "ours_over_it" with its "low"
        and "high" among the rounds.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for task in dict.fromkeys(row["task"] for row in rounds):
        speeds = [row["tokens_per_s"] for row in rounds if row["task"] == task]
        found[task] = {}
        for name in speeds[0]:
            own = {"tokens_per_s": round(statistics.median(row[name] for row in speeds), 2)}
            if name != OURS and OURS in speeds[0]:
                ratios = [row[OURS] / row[name] for row in speeds]
                own["ours_over_it"] = round(statistics.median(ratios), 3)
                own["low"], own["high"] = round(min(ratios), 3), round(max(ratios), 3)
            found[task][name] = own
    return found


def bytes_of_token(facts: Mapping[str, Any], zeros: float) -> float:
    """Count the bytes, of weights and state, that one of our engines reads for a token.

    Args:
        facts: its "bytes_per_token", the "skippable_bytes" among them, and the share of zeros
            "skipped_from" which on they are left out.
        zeros: share of the skippable ones that meet a zero.
    """
    skipped = zeros * facts["skippable_bytes"] if zeros >= facts["skipped_from"] else 0
    return float(facts["bytes_per_token"] - skipped)


def bandwidth_share(rounds: Sequence[Mapping[str, Any]], name: str, size: float) -> float:
    """Compare what an engine reads while decoding with a plain read of memory beside it.

    Args:
        rounds: as in summarise, with "bandwidth_gb_s" of each engine.
        name: of the engine.
        size: from bytes_of_token.

    Returns:
        The median of the turns.
    """
    shares = [
        size * row["tokens_per_s"][name] / (1e9 * row["bandwidth_gb_s"][name])
        for row in rounds
        if row["task"] == "decode"
    ]
    return float(round(statistics.median(shares), 3))


def most_over(rounds: Sequence[Mapping[str, Any]], size: float) -> dict[str, float]:
    """Say how far ahead of each engine decoding would be at the pace of a plain read beside it.

    Args:
        rounds: as in bandwidth_share.
        size: of our own, from bytes_of_token.

    Returns:
        Engine -> the median of the turns' ratios, which only fewer bytes could exceed.
    """
    rows = [row for row in rounds if row["task"] == "decode"]
    names = rows[0]["tokens_per_s"] if rows else ()
    found = {
        name: [1e9 * row["bandwidth_gb_s"][name] / size / row["tokens_per_s"][name] for row in rows]
        for name in names
        if name != OURS
    }
    return {name: round(statistics.median(ratios), 3) for name, ratios in found.items()}


def table(results: Mapping[str, Any]) -> str:
    """Write results, as benchmarks.peers returns them, as a Markdown table."""
    columns = ["precision", "engine"]
    for task in TASKS:
        columns += [f"{task} tok/s", "ours / it"]
    columns.insert(4, "at most")
    columns += ["of bandwidth", "RSS, peak MiB", "load s", "logits off, decode / prefill"]
    lines, notes = [_row(columns), _row(["---"] * len(columns))], [""]
    for precision, found in results["precisions"].items():
        for name, engine in found["engines"].items():
            cells = [precision, name]
            for task in TASKS:
                own = found["medians"].get(task, {}).get(name, {})
                cells += [_number(own.get("tokens_per_s"), 1), _number(own.get("ours_over_it"), 2)]
            cells.insert(4, _number(found["most_over_it"].get(name), 2))
            memory, off = engine["memory"], engine["logits_off"]
            cells.append(_number(found["share_of_memory"].get(name), 2))
            cells += [f"{memory['rss_mib']:.0f}, {memory['peak_rss_mib']:.0f}"]
            cells += [f"{engine['load_s']:.1f}", f"{off['decode']:.1e} / {off['prefill']:.1e}"]
            lines.append(_row(cells))
        probes = [one for row in found["rounds"] for one in row["bandwidth_gb_s"].values()]
        median = statistics.median(probes)
        notes.append(
            f"{precision}: bandwidth {min(probes):.1f} to {max(probes):.1f} GB/s, "
            f"median {median:.1f}"
        )
    return "\n".join([*lines, *notes])


def disagreements(results: Mapping[str, Any]) -> list[str]:
    """Name every engine whose logits are further off than its format allows."""
    return [
        f"{precision} {name} {task}: {off:.2e} off, at most {TOLERANCES[precision]:g} expected"
        for precision, found in results["precisions"].items()
        for name, engine in found["engines"].items()
        for task, off in engine["logits_off"].items()
        if not off <= TOLERANCES[precision]
    ]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
