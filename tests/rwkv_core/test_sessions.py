import numpy as np
import pytest

from rwkv_core.config import ModelConfig
from rwkv_core.errors import HeldMemoryError
from rwkv_core.sessions import Conversation, StateStore, Turn
from rwkv_core.state import Memory, State
from tests.rwkv_core.clock import Clock

CONFIG = ModelConfig("7", 10, 1, 4, 4, 2, 2)
LOGITS = np.zeros(10, np.float32)
# What one state with n token ids costs.
STATE_BYTES = CONFIG.state_bytes + LOGITS.nbytes
ID_BYTES = 4


def store_for(states: int, of_session: int | None = None, clock: Clock | None = None) -> StateStore:
    """Make a store with room for this many states after few tokens."""
    cost = STATE_BYTES + 8 * ID_BYTES
    return StateStore(
        states * cost, (of_session or states) * cost, idle_ttl_s=10, clock=clock or Clock()
    )


def kept_length(store: StateStore, session_id: str, ids: list[int]) -> int:
    snapshot = store.nearest(session_id, ids)
    return snapshot.length if snapshot else 0


def test_a_conversation_holds_its_ids_in_order() -> None:
    first = Turn("hi", (1, 2), "ho", (3,))
    talk = Conversation((0,)).with_turn(first).with_turn(Turn("so", (4,), "la", (5, 6)))
    assert talk.ids == (0, 1, 2, 3, 4, 5, 6)
    assert talk.before(1) == Conversation((0,), (first,))
    assert talk.before(0).ids == (0,)


def test_nearest_is_the_longest_kept_prefix() -> None:
    store = store_for(8)
    for length in (1, 3, 5):
        store.put("a", range(length), State.zeros(CONFIG), LOGITS)
    assert kept_length(store, "a", [0, 1, 2, 3]) == 3
    assert kept_length(store, "a", [0, 1, 2, 3, 4]) == 5
    assert kept_length(store, "a", [0, 9, 2, 3]) == 1
    assert kept_length(store, "a", [9]) == 0


def test_ids_are_compared_whole_and_not_as_bytes_in_between() -> None:
    store = store_for(8)
    store.put("a", [1], State.zeros(CONFIG), LOGITS)
    assert kept_length(store, "a", [257]) == 0
    assert kept_length(store, "a", [65537, 1]) == 0


def test_a_session_never_sees_the_states_of_another() -> None:
    store = store_for(8)
    store.put("a", [1, 2], State.zeros(CONFIG), LOGITS)
    assert store.nearest("b", [1, 2]) is None


def test_asking_for_a_session_that_keeps_nothing_leaves_nothing_behind() -> None:
    store = store_for(1)
    assert store.nearest("nobody", [1]) is None
    for session_id in "ab":
        store.put(session_id, [1], State.zeros(CONFIG), LOGITS)
    assert [kept_length(store, session_id, [1]) for session_id in "ab"] == [0, 1]


def test_state_and_logits_come_back_as_they_were_kept() -> None:
    store = store_for(8)
    state, logits = State.zeros(CONFIG), np.arange(10, dtype=np.float32)
    state.wkv.fill_(7)
    store.put("a", [1, 2], state, logits)
    snapshot = store.nearest("a", [1, 2, 3])
    assert snapshot is not None
    assert float(snapshot.state.wkv.max()) == 7
    np.testing.assert_array_equal(snapshot.logits, logits)


def test_bytes_are_states_logits_and_ids_and_replacing_counts_once() -> None:
    store = store_for(8)
    for _ in range(2):
        store.put("a", [1, 2, 3], State.zeros(CONFIG), LOGITS)
    assert store.nbytes == STATE_BYTES + 3 * ID_BYTES
    store.drop("a")
    assert store.nbytes == 0


def test_over_its_budget_a_session_loses_what_it_used_least_recently() -> None:
    store = store_for(8, of_session=2)
    store.put("other", [5], State.zeros(CONFIG), LOGITS)
    store.put("a", [1], State.zeros(CONFIG), LOGITS)
    store.put("a", [2], State.zeros(CONFIG), LOGITS)
    assert kept_length(store, "a", [1]) == 1
    store.put("a", [3], State.zeros(CONFIG), LOGITS)
    assert [kept_length(store, "a", [i]) for i in (1, 2, 3)] == [1, 0, 1]
    assert kept_length(store, "other", [5]) == 1


def test_over_the_global_budget_the_session_used_least_recently_loses() -> None:
    store = store_for(3)
    for session_id in "abc":
        store.put(session_id, [1], State.zeros(CONFIG), LOGITS)
    assert kept_length(store, "a", [1]) == 1
    store.put("d", [1], State.zeros(CONFIG), LOGITS)
    assert [kept_length(store, session_id, [1]) for session_id in "abcd"] == [1, 0, 1, 1]


def test_a_state_larger_than_the_budget_is_not_kept_and_leaves_nothing_behind() -> None:
    store = StateStore(STATE_BYTES, STATE_BYTES, clock=Clock())
    store.put("a", [1, 2], State.zeros(CONFIG), LOGITS)
    assert store.nearest("a", [1, 2]) is None
    assert store.nbytes == 0


@pytest.mark.parametrize(("wait_s", "length"), [(10.0, 1), (10.5, 0)])
def test_an_idle_session_is_dropped_after_its_time_to_live(wait_s: float, length: int) -> None:
    clock = Clock()
    store = store_for(8, clock=clock)
    clock.now = 5.0
    store.put("a", [1], State.zeros(CONFIG), LOGITS)
    clock.now += wait_s
    assert kept_length(store, "a", [1]) == length
    assert (store.nbytes > 0) == (length > 0)


def test_using_a_session_keeps_it_alive() -> None:
    clock = Clock()
    store = store_for(8, clock=clock)
    store.put("a", [1], State.zeros(CONFIG), LOGITS)
    for _ in range(4):
        clock.now += 8
        assert kept_length(store, "a", [1]) == 1


def memory(number: int) -> Memory:
    return Memory(State.zeros(CONFIG), number, LOGITS)


def test_a_held_memory_outlives_what_was_read_from_it() -> None:
    clock = Clock()
    store = StateStore(2**20, 2**20, idle_ttl_s=10, held_ttl_s=100, clock=clock)
    root = store.hold("a", memory(1))
    store.put("a", [1], State.zeros(CONFIG), LOGITS, root=root)
    clock.now = 11
    assert store.nearest("a", [1], root=root) is None
    assert store.nbytes == STATE_BYTES
    assert store.held("a", root).tokens == 1
    clock.now = 112
    with pytest.raises(HeldMemoryError, match="load its file"):
        store.held("a", root)
    assert store.nbytes == 0


def test_held_memories_may_fill_half_of_a_budget_and_the_next_is_refused() -> None:
    store = store_for(16, of_session=4)
    for number in (1, 2, 2):
        store.hold("a", memory(number))
    with pytest.raises(HeldMemoryError, match="2 memories are held"):
        store.hold("a", memory(3))
    assert store.nbytes == 2 * STATE_BYTES


def test_cached_states_go_before_held_ones_and_those_of_idle_visitors_first() -> None:
    store = store_for(8, of_session=8)
    roots = [store.hold("a", memory(number)) for number in (1, 2)]
    for number in range(9):
        store.put("b", [number], State.zeros(CONFIG), LOGITS)
    assert kept_length(store, "b", [8]) == 1
    assert [store.held("a", root).tokens for root in roots] == [1, 2]
    store.put("b", [9], State.zeros(CONFIG), LOGITS)
    for number in range(3, 7):
        store.hold("c", memory(number))
    with pytest.raises(HeldMemoryError):
        store.held("a", roots[0])
    assert store.held("a", roots[1]).tokens == 2
    assert store.nbytes <= 8 * (STATE_BYTES + 8 * ID_BYTES)


def test_letting_go_of_a_memory_drops_what_was_read_from_it() -> None:
    store = store_for(8)
    root = store.hold("a", memory(1))
    store.put("a", [1], State.zeros(CONFIG), LOGITS, root=root)
    store.put("a", [1], State.zeros(CONFIG), LOGITS)
    store.release("a", root)
    assert store.nbytes == STATE_BYTES + ID_BYTES
    store.put("a", [1], State.zeros(CONFIG), LOGITS, root=root)
    assert store.nbytes == STATE_BYTES + ID_BYTES


def test_a_conversation_keeps_its_root_through_undo_and_retry() -> None:
    talk = Conversation((1,), root="r").with_turn(Turn("hi", (2,), "ho", (3,)))
    assert talk.root == talk.before(0).root == "r"


def test_ends_of_texts_and_the_places_near_them_outlive_the_long_way_there() -> None:
    budget = 16 * (STATE_BYTES + 200 * ID_BYTES)
    store = StateStore(budget, budget, clock=Clock())
    texts = {start: [start, *range(10, 210)] for start in range(3)}
    for ids in texts.values():
        for length in range(5, 201, 5):
            store.put("a", ids[:length], State.zeros(CONFIG), LOGITS)
    for ids in texts.values():
        kept = [kept_length(store, "a", ids[:length]) for length in (200, 195, 190)]
        assert kept[:2] == [200, 195]
        assert kept[2] >= 185


def test_the_ends_of_texts_take_at_most_half_so_that_going_back_stays_instant() -> None:
    store = store_for(8, of_session=8)
    for length in (1, 2, 3):
        store.put("a", range(length), State.zeros(CONFIG), LOGITS)
    for other in range(50, 70):
        store.put("a", [0, 1, 2, other], State.zeros(CONFIG), LOGITS)
    assert kept_length(store, "a", [0, 1, 2]) == 3
    assert kept_length(store, "a", [0, 1, 2, 69]) == 4


def test_a_forgotten_place_hands_over_what_goes_on_from_it() -> None:
    store = store_for(2, of_session=2)
    for length in (1, 2, 3):
        store.put("a", range(length), State.zeros(CONFIG), LOGITS)
    assert kept_length(store, "a", [0, 1, 2]) == 3
    store.put("a", [0, 1], State.zeros(CONFIG), LOGITS)
    assert kept_length(store, "a", [0, 1, 9]) == 2


def test_of_too_many_sessions_the_one_used_least_recently_goes() -> None:
    store = StateStore(2**20, 2**20, max_sessions=2, clock=Clock())
    state = State.zeros(CONFIG)
    for name in ("a", "b"):
        store.put(name, [1], state, LOGITS)
    assert kept_length(store, "a", [1]) == 1
    store.put("c", [1], state, LOGITS)
    assert [kept_length(store, name, [1]) for name in "abc"] == [1, 0, 1]
    assert len(store) == 2
    assert store.nbytes == 2 * (STATE_BYTES + ID_BYTES)
