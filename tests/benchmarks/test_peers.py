import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import peers
from benchmarks.peers import Work, main, parse, take_turns
from benchmarks.peers_protocol import PeerError
from tests.benchmarks.test_peers_report import results


class FakePeer:
    """Notes what it is asked; answers with a fixed time, as a probe with 10 GB/s more each time."""

    def __init__(self, name: str, seconds: float, log: list[str], *tasks: str) -> None:
        self.name, self.seconds, self.log = name, seconds, log
        self.facts = {"tasks": tasks}
        self.bandwidth = 0.0

    def ask(self, what: str, **request: Any) -> dict[str, Any]:
        self.log.append(f"{self.name} {what} {len(request['ids'])}")
        return {"seconds": self.seconds}

    def array(self, what: str) -> Any:
        self.log.append(what)
        self.bandwidth += 1e10
        return np.array(self.bandwidth)


def test_engines_take_turns_with_a_probe_at_both_sides_of_each() -> None:
    log: list[str] = []
    a = FakePeer("a", 2.0, log, "decode", "prefill", "batch")
    b = FakePeer("b", 4.0, log, "decode", "prefill")
    probe = FakePeer("probe", 0.0, log)
    work = Work(8, decode_turns=2, prefill_tokens=16, batch=2, batch_tokens=3, rounds=2)
    rows = take_turns([a, b], probe, work, pause_s=0)  # type: ignore[list-item, arg-type]
    decode = ["probe", "a decode 8", "probe", "b decode 8", "probe"]
    prefill = ["probe", "a prefill 16", "probe", "b prefill 16", "probe"]
    assert log == [*decode, *decode, *prefill, "probe", "a batch 3", "a batch 3", "probe"] * 3
    # The first round only warms up.
    tasks = ("decode", "decode", "prefill", "batch")
    assert [(row["round"], row["task"]) for row in rows] == [
        (number, task) for number in (1, 2) for task in tasks
    ]
    assert rows[0]["tokens_per_s"] == {"a": 4.0, "b": 2.0}
    assert rows[3]["tokens_per_s"] == {"a": 3.0}
    # Eleven probes of the round before; then 120 and 130, 130 and 140.
    assert rows[0]["bandwidth_gb_s"] == {"a": 125.0, "b": 135.0}


def test_words_of_the_command_are_read() -> None:
    options = parse(["--precision", "int8,int4", "--against", "rwkv", "--shape", "0.4b"])
    assert (options.precision, options.against) == (["int8", "int4"], ["rwkv"])
    assert (options.shape, options.threads, options.peers) == ("0.4b", 2, Path("build/peers"))
    assert parse([]).precision == ["fp32", "bf16", "int8", "int4"]
    assert [parse(words).processor for words in ([], ["--processor", "avx2"])] == ["native", "avx2"]


@pytest.mark.parametrize("words", [["--precision", "fp8"], ["--against", "x"], ["--shape", "9b"]])
def test_unknown_words_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(words)
    assert words[1] in capsys.readouterr().err


@pytest.mark.parametrize(("off", "status"), [(0.01, 0), (0.2, 1)])
def test_the_command_writes_its_result_and_fails_where_logits_disagree(
    off: float, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = results(decode=off) | {"channel_mix_zeros": 0.5}
    monkeypatch.setattr(peers, "run", lambda _: found)
    out = tmp_path / "out.json"
    assert main(["--json", str(out)]) == status
    assert json.loads(out.read_text()) == found


def test_an_engine_that_ends_fails_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_: object) -> dict[str, Any]:
        raise PeerError("rwkv ended")

    monkeypatch.setattr(peers, "run", run)
    assert main([]) == 2
    assert "rwkv ended" in capsys.readouterr().err
