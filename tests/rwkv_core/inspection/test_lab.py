import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rwkv_core.engine import Engine, EngineLimits
from rwkv_core.errors import EngineBusyError, RwkvError
from rwkv_core.generate import GenerationSettings, generate
from rwkv_core.inspection.lab import Lab, Progress, Steps, Text, finish, log2_probabilities
from rwkv_core.models import Model, load_model
from rwkv_core.sampling import SamplingSettings, sample
from rwkv_core.sessions import Snapshot
from rwkv_core.state import Memory, State
from tests.checkpoints import random_weights, write_safetensors
from tests.rwkv_core.watched import LIMITS, LONG, TOKENIZER, WatchedModel, open_engine

GREEDY = GenerationSettings(
    SamplingSettings(temperature=0, presence_penalty=0, frequency_penalty=0), max_tokens=9
)


@pytest.fixture
def tiny(tmp_path: Path) -> Model:
    weights = random_weights(vocab_size=TOKENIZER.vocab_size)
    return load_model(write_safetensors(tmp_path / "tiny.safetensors", weights), "cpu fp32")


def counting(steps: int, seen: list[int]) -> Callable[[Lab], Steps[str]]:
    """Make an experiment of so many steps that notes each."""

    def count(_lab: Lab) -> Steps[str]:
        for number in range(steps):
            seen.append(number)
            yield Progress(number + 1, f"{number + 1} so far")
        return "counted"

    return count


def test_reading_in_chunks_gives_the_memory_of_reading_at_once(tiny: Model) -> None:
    lab = Lab(tiny, TOKENIZER, chunk_tokens=4)
    steps = lab.read(Text(tuple(LONG[:11])))
    assert [next(steps).done for _ in range(3)] == [4, 8, 11]
    snapshot = finish(steps)
    logits, state = tiny.forward(LONG[:11])
    torch.testing.assert_close(snapshot.state.wkv, state.wkv, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(snapshot.logits, logits[0], rtol=1e-4, atol=1e-4)
    assert snapshot.length == 11


def test_a_kept_memory_is_not_read_again(tiny: Model) -> None:
    first = finish(Lab(tiny, TOKENIZER).read(Text(tuple(LONG[:6]))))
    kept: list[int] = []
    lab = Lab(
        tiny,
        TOKENIZER,
        recall=lambda text: first,
        keep=lambda text, snapshot: kept.append(len(text.ids)),
    )
    assert finish(lab.read(Text(tuple(LONG[:6])))) is first
    assert [step.done for step in lab.read(Text(tuple(LONG[:8])))] == [2]
    assert kept == [8]


def test_memories_that_read_together_are_those_that_read_alone(tiny: Model) -> None:
    lab = Lab(tiny, TOKENIZER, chunk_tokens=6)
    alone = [finish(lab.read(Text(tuple(ids)))) for ids in (LONG[:5], LONG[7:10], [9])]
    batch = State.stack([snapshot.state for snapshot in alone])
    logits, state = finish(lab.read_together(batch, LONG[20:27]))
    for index, snapshot in enumerate(alone):
        one = finish(lab.read_after(snapshot, LONG[20:27]))
        torch.testing.assert_close(state.select(index).wkv, one.state.wkv, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(logits[index], one.logits, rtol=1e-4, atol=1e-4)


def test_texts_written_together_are_those_written_alone(tiny: Model) -> None:
    lab = Lab(tiny, TOKENIZER)
    alone = [finish(lab.read(Text(tuple(ids)))) for ids in (LONG[:5], LONG[7:10])]
    batch, logits = State.stack([s.state for s in alone]), np.stack([s.logits for s in alone])
    texts = finish(lab.write_together(batch, logits, GREEDY))
    for text, ids in zip(texts, (LONG[:5], LONG[7:10]), strict=True):
        assert text == "".join(token.text for token in generate(tiny, TOKENIZER, ids, GREEDY))


def test_equal_memories_write_the_same_text_under_a_seed_however_long_they_are(
    tiny: Model,
) -> None:
    lab = Lab(tiny, TOKENIZER)
    snapshot = finish(lab.read(Text(tuple(LONG[:5]))))
    twice = State.stack([snapshot.state, snapshot.state])
    sampling = SamplingSettings(temperature=1, top_p=1, seed=3)
    written = lab.write_together(
        twice, np.stack([snapshot.logits] * 2), GenerationSettings(sampling, max_tokens=12)
    )
    one, other = finish(written)
    assert one == other


def test_the_noise_of_each_new_token_is_that_of_its_place(tiny: Model) -> None:
    lab = Lab(tiny, TOKENIZER)
    snapshot = finish(lab.read(Text(tuple(LONG[:5]))))
    settings = GenerationSettings(
        SamplingSettings(temperature=2, top_p=1, presence_penalty=0, frequency_penalty=0, seed=4),
        max_tokens=6,
        stop_tokens=(),
    )
    (text,) = finish(lab.write_together(snapshot.state, snapshot.logits[None], settings))
    ids, logits, state = [], snapshot.logits, snapshot.state
    for position in range(6):
        ids.append(sample(logits, settings.sampling, seed=4, position=position))
        scores, state = tiny.forward(ids[-1:], state)
        logits = scores[0].numpy()
    assert text == TOKENIZER.decode(ids)


def test_probabilities_in_bits_are_those_of_a_softmax() -> None:
    logits = np.array([[0.0, np.log(3.0), -1000.0], [5.0, 5.0, 5.0]], np.float32)
    expected = [[-2.0, np.log2(0.75), -1000 / np.log(2) - 2], [-np.log2(3)] * 3]
    np.testing.assert_allclose(log2_probabilities(logits), expected, rtol=1e-6)


class TestStudiesInTheEngine:
    def test_an_experiment_runs_step_by_step_and_tells_what_it_knows(self) -> None:
        seen: list[int] = []
        with open_engine(WatchedModel()) as engine:
            job = engine.study("a", counting(5, seen), 5)
            assert job.result() == "counted"
        assert seen == [0, 1, 2, 3, 4]
        assert job.so_far == "5 so far"
        assert job.status.tokens_read == 5

    def test_it_uses_and_keeps_the_memories_of_its_own_session_only(self, tiny: Model) -> None:
        with Engine(tiny, TOKENIZER, LIMITS) as engine:
            first = engine.study("a", lambda lab: lab.read(Text(tuple(LONG[:9]))), 9)
            first.result()
            assert engine.state_at("a", LONG[:9]) is not None
            assert engine.state_at("b", LONG[:9]) is None
            again = engine.study("a", lambda lab: lab.read(Text(tuple(LONG[:9]))), 9)
            assert again.result().length == 9
            # Nothing was left to read.
            assert (again.status.tokens_read, first.status.tokens_read) == (0, 9)

    def test_a_held_memory_is_a_beginning(self, tiny: Model) -> None:
        logits, state = tiny.forward(LONG[:5])
        expected, _ = tiny.forward(LONG[5:9], state)
        with Engine(tiny, TOKENIZER, LIMITS) as engine:
            root = engine.hold("a", Memory(state, 5, logits[0].numpy()))
            bare = engine.study("a", lambda lab: lab.read(Text((), root)), 1).result()
            on = engine.study("a", lambda lab: lab.read(Text(tuple(LONG[5:9]), root)), 4).result()
        np.testing.assert_array_equal(bare.logits, logits[0])
        np.testing.assert_allclose(on.logits, expected[0], rtol=1e-4, atol=1e-4)

    def test_experiments_take_turns_and_a_cancelled_one_ends_within_a_step(self) -> None:
        seen: list[int] = []
        at_third, go_on = threading.Event(), threading.Event()

        def waiting(_lab: Lab) -> Steps[str]:
            for number in range(1000):
                seen.append(number)
                if number == 2:
                    at_third.set()
                    go_on.wait(10)
                yield Progress(number)
            return "never"

        with open_engine(WatchedModel()) as engine:
            long = engine.study("a", waiting, 1000)
            assert at_third.wait(10)
            short = engine.study("b", counting(1, []), 1)
            long.cancel()
            go_on.set()
            with pytest.raises(RwkvError, match="cancelled"):
                long.result()
            assert short.result() == "counted"
        assert seen == [0, 1, 2]

    def test_one_that_fails_says_so_and_keeps_what_it_had(self) -> None:
        def failing(_lab: Lab) -> Steps[str]:
            yield Progress(1, "half")
            raise RwkvError("the memory tore")

        with open_engine(WatchedModel()) as engine:
            job = engine.study("a", failing, 2)
            with pytest.raises(RwkvError, match="the memory tore"):
                job.result()
            assert job.so_far == "half"
            assert engine.study("a", counting(1, []), 1).result() == "counted"

    def test_a_session_that_is_gone_keeps_nothing(self, tiny: Model) -> None:
        def leaving(lab: Lab) -> Steps[Snapshot]:
            snapshot = yield from lab.read_after(None, [1, 2])
            engine.drop_session("a")
            lab.keep(Text((1, 2)), snapshot)
            return snapshot

        with Engine(tiny, TOKENIZER, LIMITS) as engine:
            engine.study("a", leaving, 2).result()
            assert engine.state_at("a", [1, 2]) is None

    def test_too_many_are_refused(self) -> None:
        limits = EngineLimits(waiting=1)
        started, go_on = threading.Event(), threading.Event()

        def holding(_lab: Lab) -> Steps[str]:
            started.set()
            go_on.wait(10)
            yield Progress(1)
            return "held"

        with open_engine(WatchedModel(), limits) as engine:
            job = engine.study("a", holding, 1)
            assert started.wait(10)
            with pytest.raises(EngineBusyError, match="limit"):
                engine.study("b", counting(1, []), 1)
            go_on.set()
            assert job.result() == "held"
