from pathlib import Path

import pytest
import torch

from presets.catalogue import catalogue
from presets.limits import Limits, RequestLimits, read_limits
from rwkv_core.errors import SettingsError
from rwkv_core.sessions import StateStore
from rwkv_core.state import Memory, State


def test_the_shipped_table_says_every_limit() -> None:
    import dataclasses
    import tomllib

    import presets

    table = tomllib.loads((Path(presets.__file__).parent / "limits.toml").read_text())
    limits = Limits()
    for part, values in ((limits.engine, table["engine"]), (limits.requests, table["requests"])):
        assert set(values) == {entry.name for entry in dataclasses.fields(part)}
    assert read_limits().requests == RequestLimits()


def test_an_owners_table_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[engine]\nslots = 2\n[requests]\ndrain_s = 1\n")
    own, shipped = read_limits(path), read_limits()
    assert (own.engine.slots, own.requests.drain_s) == (2, 1)
    assert own.engine.waiting == shipped.engine.waiting


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[engine]\nslots = 0", "above 0"),
        ("[engine]\nslots = true", "above 0"),
        ("[engine]\nslots = 1.5", "whole"),
        ("[engine]\nseats = 1", "choose one of"),
        ("[engin]\nslots = 1", "there are only"),
        ("slots", "cannot be read"),
        ("engine = 1", "engine"),
    ],
)
def test_a_wrong_table_gets_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=says):
        read_limits(path)


def test_two_memories_of_every_official_model_can_be_held_by_one_visitor() -> None:
    limits = read_limits().engine
    one = max(
        entry.inventory.config.state_bytes + 4 * entry.inventory.config.vocab_size
        for entry in catalogue()
    )
    store = StateStore(limits.store_bytes, limits.session_bytes)
    values = one // 4
    for number in range(2):
        state = torch.zeros(1, 1, values) + number
        empty = torch.zeros(1, 1, 0)
        store.hold("a", Memory(State(empty, state, empty), number + 1))
    assert store.nbytes >= 2 * one
