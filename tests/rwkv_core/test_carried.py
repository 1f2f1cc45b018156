import pickle
from typing import cast

import pytest

from rwkv_core.carried import state_to_bytes, write_elsewhere
from rwkv_core.errors import StateError
from rwkv_core.generate import GenerationSettings, generate
from rwkv_core.models import Model
from rwkv_core.sampling import SamplingSettings
from tests.rwkv_core.fakes import FakeModel, FakeTokenizer

TOKENIZER = FakeTokenizer()
MODEL = cast(Model, FakeModel(TOKENIZER.vocab_size))
GREEDY = SamplingSettings(temperature=0, presence_penalty=0, frequency_penalty=0)


def write(ids: list[int], count: int, memory: bytes = b"") -> tuple[str, bytes]:
    settings = GenerationSettings(GREEDY, count, stop_tokens=())
    *texts, reached = write_elsewhere(MODEL, TOKENIZER, ids, settings, memory)
    assert isinstance(reached, bytes)
    # What another process would get.
    return "".join(map(str, texts)), pickle.loads(pickle.dumps(reached))


def test_calls_that_hand_the_memory_on_write_what_one_process_would() -> None:
    settings = GenerationSettings(GREEDY, 4, stop_tokens=())
    whole = generate(MODEL, TOKENIZER, [5, 6, 7], settings)
    first = "".join(token.text for token in whole)
    assert whole.result is not None
    second = "".join(
        token.text for token in generate(MODEL, TOKENIZER, [9], settings, whole.result.state)
    )
    carried_first, memory = write([5, 6, 7], 4)
    carried_second, reached = write([9], 4, memory)
    assert (carried_first, carried_second) == (first, second)
    assert memory == state_to_bytes(whole.result.state) != reached


@pytest.mark.parametrize("data", [b"x" * 40, state_to_bytes(MODEL.initial_state(2))])
def test_bytes_that_are_no_memory_of_this_model_are_refused(data: bytes) -> None:
    with pytest.raises(StateError, match="begin a new text"):
        write([1], 1, data)
