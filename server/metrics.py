"""Counts of requests and the text that Prometheus reads, version 0.0.4 of its format."""

import resource
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from rwkv_core.tally import TIME_BOUNDS_S, Times, Usage

Labels = tuple[tuple[str, str], ...]


class RequestCounts:
    """Requests by route and status, and how long they took; lives on the event loop."""

    def __init__(self) -> None:
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.times: defaultdict[str, Times] = defaultdict(Times)
        self.running = 0

    def add(self, route: str, status: int, seconds: float) -> None:
        """Count a request that has been answered."""
        self.statuses[route, status] += 1
        self.times[route] = self.times[route].with_time(seconds)


def metrics_text(usage: Usage, requests: RequestCounts, model: str) -> str:
    """Write everything that is measured.

    Args:
        usage: of the engine; its counts begin anew where another model takes its place.
        requests: answered.
        model: what runs.
    """
    name = model.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    ended: dict[Labels, int] = {
        (("reason", reason),): count for reason, count in usage.ended.items()
    }
    statuses: dict[Labels, int] = {
        (("route", route), ("status", str(status))): count
        for (route, status), count in requests.statuses.items()
    }
    times: dict[Labels, Times] = {
        (("route", route),): taken for route, taken in requests.times.items()
    }
    parts = (
        _samples("rwkv_model", "gauge", "The model that runs.", {(("name", name),): 1}),
        _metric("rwkv_texts_running", "gauge", "Texts read or written now.", usage.running),
        _metric("rwkv_texts_waiting", "gauge", "Texts that wait for a slot.", usage.waiting),
        _metric("rwkv_texts_inspected", "gauge", "Texts being inspected.", usage.tracing),
        _metric("rwkv_tokens_read_total", "counter", "Tokens read.", usage.tokens_read),
        _metric("rwkv_tokens_written_total", "counter", "Tokens written.", usage.tokens_written),
        _samples("rwkv_texts_ended_total", "counter", "Texts by the reason of their end.", ended),
        _metric("rwkv_sessions", "gauge", "Visitors whose memories are kept.", usage.sessions),
        _metric("rwkv_store_bytes", "gauge", "Bytes of kept memories.", usage.store_bytes),
        _metric("rwkv_resident_bytes", "gauge", "Memory of the process.", resident_bytes()),
        _metric("rwkv_requests_running", "gauge", "Requests being answered.", requests.running),
        _samples("rwkv_requests_total", "counter", "Requests answered.", statuses),
        _histogram(
            "rwkv_first_token_seconds", "From asking to the first token.", {(): usage.first_token}
        ),
        _histogram("rwkv_request_seconds", "From a request to the end of its answer.", times),
    )
    return "".join(f"{line}\n" for part in parts for line in part)


def resident_bytes() -> int:
    """Memory of this process: now where the system tells, else its peak."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak * (1 if sys.platform == "darwin" else 1024)
    return pages * resource.getpagesize()


def _metric(name: str, kind: str, text: str, value: int) -> Iterator[str]:
    return _samples(name, kind, text, {(): value})


def _samples(name: str, kind: str, text: str, values: Mapping[Labels, int]) -> Iterator[str]:
    yield from _header(name, kind, text)
    yield from (f"{name}{_labels(labels)} {value}" for labels, value in sorted(values.items()))


def _histogram(name: str, text: str, times: dict[Labels, Times]) -> Iterator[str]:
    yield from _header(name, "histogram", text)
    for labels, taken in sorted(times.items(), key=lambda item: item[0]):
        reached = 0
        for bound, count in zip((*map(str, TIME_BOUNDS_S), "+Inf"), taken.counts, strict=True):
            reached += count
            yield f"{name}_bucket{_labels((*labels, ('le', bound)))} {reached}"
        yield f"{name}_sum{_labels(labels)} {taken.total_s:.6f}"
        yield f"{name}_count{_labels(labels)} {reached}"


def _header(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"


def _labels(labels: Labels) -> str:
    written = ",".join(f'{name}="{value}"' for name, value in labels)
    return f"{{{written}}}" if written else ""
