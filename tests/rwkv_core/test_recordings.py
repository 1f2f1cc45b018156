import torch

from rwkv_core.config import ModelConfig
from rwkv_core.recording import CLOSE_LOOK, GLANCE, Recording, Wanted
from rwkv_core.recordings import RecordingKey, RecordingStore
from rwkv_core.state import State
from tests.rwkv_core.clock import Clock
from tests.rwkv_core.fakes import flat_recording


def make(tokens: int = 4) -> Recording:
    config = ModelConfig("7", 10, 1, 4, 4, 2, 2)
    return flat_recording([1] * tokens, torch.zeros(10), State.zeros(config))


def key(session: str, ids: list[int], *, root: str = "", wanted: Wanted = GLANCE) -> RecordingKey:
    return RecordingKey(session, root, tuple(ids), wanted)


def test_a_recording_is_found_again_by_its_text_and_what_was_wanted() -> None:
    store, recording = RecordingStore(10_000), make()
    store.put(key("a", [1, 2]), recording)
    assert store.get(key("a", [1, 2])) is recording
    assert store.get(key("a", [1, 2], wanted=CLOSE_LOOK)) is None
    assert store.get(key("a", [1, 2, 3])) is None
    assert store.get(key("a", [1, 2], root="edited")) is None


def test_a_session_never_finds_what_another_had_recorded() -> None:
    store = RecordingStore(10_000)
    store.put(key("a", [1, 2]), make())
    assert store.get(key("b", [1, 2])) is None
    store.put(key("b", [1, 2]), make())
    store.drop("a")
    assert store.get(key("a", [1, 2])) is None
    assert store.get(key("b", [1, 2])) is not None


def test_over_the_budget_the_least_recently_used_goes() -> None:
    recording = make()
    store = RecordingStore(2 * recording.nbytes)
    for ids in ([1], [2]):
        store.put(key("a", ids), recording)
    store.get(key("a", [1]))
    store.put(key("a", [3]), recording)
    assert store.get(key("a", [2])) is None
    assert store.get(key("a", [1])) is recording
    assert store.nbytes == 2 * recording.nbytes
    store.put(key("a", [4]), make(4000))
    assert store.nbytes == 0


def test_an_idle_recording_is_dropped() -> None:
    clock = Clock()
    store = RecordingStore(10_000, idle_ttl_s=60, clock=clock)
    store.put(key("a", [1]), make())
    clock.now += 59
    assert store.get(key("a", [1])) is not None
    clock.now += 61
    assert store.get(key("a", [1])) is None
    assert store.nbytes == 0
