"""What visitors are typing, read when nobody asks for anything."""

from dataclasses import replace

from rwkv_core.engine import Engine
from tests.rwkv_core.watched import LIMITS, WatchedModel, end_of, held, open_engine, settings

DRAFT = [1 + n % 200 for n in range(70)]


def kept(engine: Engine, ids: list[int]) -> int:
    return engine.kept_length("a", ids)


def test_a_draft_that_was_read_leaves_one_step_to_the_first_token() -> None:
    model = WatchedModel()
    with open_engine(model) as engine:
        assert end_of(engine.read("a", DRAFT, is_quiet=True)).reason == "read"
        model.calls.clear()
        list(engine.submit("a", DRAFT, settings(2)))
    assert model.calls == [("write", 1), ("write", 1)]


def test_an_edit_goes_back_to_where_the_draft_still_agrees() -> None:
    with open_engine(WatchedModel()) as engine:
        end_of(engine.read("a", DRAFT, is_quiet=True))
        assert kept(engine, [*DRAFT[:-1], 250, 251]) == len(DRAFT) - 2
        assert kept(engine, [*DRAFT[:50], 250]) == 32
        changed = [*DRAFT[:66], 7, 8, 9]
        assert end_of(engine.read("a", changed, is_quiet=True)).tokens_reused == 64


def test_a_draft_gives_way_to_anyone_who_asks_and_what_was_read_is_kept() -> None:
    model = WatchedModel()
    with open_engine(model) as engine:
        with held(model) as entered:
            draft = engine.read("a", DRAFT, is_quiet=True)
            assert entered.wait(30)
            text = engine.submit("b", [1, 2], settings(3))
        assert end_of(draft).reason == "cancelled"
        assert len(list(text)) == 3
        assert kept(engine, DRAFT) == 32
        with held(model) as entered:
            text = engine.submit("b", [3], settings(3))
            assert entered.wait(30)
            refused = engine.read("a", DRAFT, is_quiet=True)
        assert end_of(refused).reason == "cancelled"
        list(text)
    read = [count for kind, count in model.calls if kind == "read"]
    assert read == [32, 2, 1]


def test_a_newer_draft_takes_the_place_of_the_session_s_last_one() -> None:
    model = WatchedModel()
    with open_engine(model, replace(LIMITS, slots=1)) as engine:
        with held(model) as entered:
            first = engine.read("a", DRAFT, is_quiet=True)
            assert entered.wait(30)
            second = engine.read("a", [*DRAFT, 9], is_quiet=True)
            crowded = engine.read("b", DRAFT, is_quiet=True)
        assert end_of(first).reason == "cancelled"
        assert end_of(second).reason == "read"
        assert end_of(crowded).reason == "cancelled"


def test_the_memory_is_kept_along_a_text_that_asks_for_it() -> None:
    with open_engine(WatchedModel()) as engine:
        stream = engine.submit("a", [1, 2], settings(10), keep_every=4)
        ids = [1, 2, *(token.id for token in stream)]
        assert [kept(engine, ids[:n]) for n in (5, 6, 7, 11, 12)] == [2, 6, 6, 10, 12]
        again = engine.submit("a", [*ids[:8], 250], settings(1))
        assert end_of(again).tokens_read == 3
