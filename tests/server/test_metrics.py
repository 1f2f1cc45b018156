import re

from rwkv_core.tally import TIME_BOUNDS_S, Times, Usage
from server.metrics import RequestCounts, metrics_text

USAGE = Usage(1, 2, 3, 40, 50, {"stop": 6, "busy": 7}, Times().with_time(0.2), 8, 9)
_LABEL = r'[a-z]+="(?:[^"\\\n]|\\.)*"'
LINE = re.compile(rf"[a-z_]+(\{{{_LABEL}(,{_LABEL})*\}})? [0-9.]+")


def test_every_line_is_one_that_prometheus_reads() -> None:
    counts = RequestCounts()
    counts.add("/v1/models", 200, 0.01)
    text = metrics_text(USAGE, counts, 'Pip "1"')
    lines = [line for line in text.splitlines() if not line.startswith("# ")]
    assert text.endswith("\n")
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    for line in (
        'rwkv_model{name="Pip \\"1\\""} 1',
        "rwkv_texts_waiting 2",
        "rwkv_tokens_written_total 50",
        'rwkv_texts_ended_total{reason="busy"} 7',
        'rwkv_requests_total{route="/v1/models",status="200"} 1',
    ):
        assert line in lines


def test_a_histogram_adds_up_and_ends_with_everything() -> None:
    times = Times()
    for seconds in (0.01, 0.2, 0.25, 1000.0):
        times = times.with_time(seconds)
    text = metrics_text(Usage(0, 0, 0, 0, 0, {}, times, 0, 0), RequestCounts(), "Pip")
    found = re.findall(r'rwkv_first_token_seconds_bucket\{le="(.*)"\} (\d+)', text)
    assert [bound for bound, _ in found] == [*map(str, TIME_BOUNDS_S), "+Inf"]
    assert [int(count) for _, count in found][:3] == [1, 1, 3]
    assert [int(count) for _, count in found][-2:] == [3, 4]
    assert "rwkv_first_token_seconds_count 4" in text
