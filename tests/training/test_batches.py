"""Rows of a mix: reproducible, whole documents, every token of an epoch once."""

from pathlib import Path

import numpy as np
import torch

from rwkv_core.training.batches import Batches, Source


def make_source(name: str, first: int, documents: int = 6) -> Source:
    """Documents of 10 tokens: 0, then nine numbers that say which document it is."""
    tokens = np.repeat(np.arange(first, first + documents), 10).astype(np.uint16)
    tokens[::10] = 0
    return Source(name, tokens, np.arange(0, 10 * documents, 10))


def make_batches(seed: int = 4) -> Batches:
    sources = [make_source("a", 1), make_source("b", 100)]
    return Batches(sources, [3, 1], batch=4, length=12, steps=50, seed=seed)


def test_a_batch_is_the_same_however_one_gets_to_it() -> None:
    one, other = make_batches(), make_batches()
    other.first_step = 20
    seen = {step: rows for step, rows in one if step >= 20}
    for step, rows in other:
        assert torch.equal(rows, seen[step])
    assert len(other) == 30


def test_another_seed_gives_other_batches() -> None:
    assert not torch.equal(make_batches(4)[0], make_batches(5)[0])


def test_rows_come_from_sources_by_their_shares() -> None:
    batches = make_batches()
    rows = torch.cat([batches[step] for step in range(50)])
    share = float((rows.max(1).values < 100).float().mean())
    assert 0.65 < share < 0.85
    assert set(batches.epochs()) == {"a", "b"}


def test_an_epoch_holds_every_document_once_in_a_new_order() -> None:
    source = make_source("a", 1, documents=40)
    first, second = source.shuffled(7, 0), source.shuffled(7, 1)
    assert sorted(first) == sorted(second) == sorted(source.tokens)
    assert not np.array_equal(first, second)
    assert (first[::10] == 0).all()


def test_rows_follow_each_other_with_one_token_of_overlap() -> None:
    source = make_source("a", 1, documents=40)
    rows = [source.row(number, 12, 7) for number in range(3)]
    assert [len(row) for row in rows] == [13, 13, 13]
    assert rows[0][-1] == rows[1][0]
    assert np.array_equal(np.concatenate([rows[0], rows[1][1:]]), source.shuffled(7, 0)[:25])


def test_a_source_shorter_than_a_row_repeats_itself() -> None:
    assert len(make_source("a", 1, documents=1).row(3, 24, 7)) == 25


def test_a_saved_source_is_read_back(tmp_path: Path) -> None:
    source = make_source("a", 1)
    np.savez(tmp_path / "a.npz", tokens=source.tokens, starts=source.starts)
    again = Source.load(tmp_path, "a")
    assert np.array_equal(again.tokens, source.tokens)
    assert np.array_equal(again.starts, source.starts)
