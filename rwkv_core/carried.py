"""Write a text in another process: a memory travels there and back as bytes of the CPU.

Hosts that lend a GPU for one call run that call in a process of its own. What goes in and comes
out is pickled, nothing else survives, and no tensor of a GPU may cross; a memory of fixed size can.
"""

from collections.abc import Iterator, Sequence

import safetensors.torch
from safetensors import SafetensorError

from rwkv_core.config import ModelConfig
from rwkv_core.errors import StateError
from rwkv_core.generate import GenerationSettings, generate
from rwkv_core.models import Model
from rwkv_core.state import State
from rwkv_core.tokenizer import Tokenizer

_PARTS = ("time_mix_shift", "wkv", "channel_mix_shift")


def state_to_bytes(state: State) -> bytes:
    """Write a state, B = 1 or more, from wherever it lies."""
    tensors = {part: getattr(state, part).cpu().contiguous() for part in _PARTS}
    return safetensors.torch.save(tensors)


def state_from_bytes(data: bytes, config: ModelConfig) -> State:
    """Read a state for a model of these sizes.

    Raises:
        StateError: it is none, or one of another model.
    """
    try:
        tensors = safetensors.torch.load(data)
    except SafetensorError as error:
        raise StateError(f"these bytes are no memory ({error}); begin a new text") from error
    expected = State.zeros(config, device="meta")
    shapes = {part: tuple(getattr(expected, part).shape) for part in _PARTS}
    if {name: tuple(tensor.shape) for name, tensor in tensors.items()} != shapes:
        raise StateError("this memory is one of another model; begin a new text")
    return State(*(tensors[part].float() for part in _PARTS))


def write_elsewhere(
    model: Model,
    tokenizer: Tokenizer,
    ids: Sequence[int],
    settings: GenerationSettings,
    memory: bytes = b"",
) -> Iterator[str | bytes]:
    """Go on writing from a memory; yields pieces of text, and at last the memory reached.

    Args:
        model: on whatever device this process has.
        tokenizer: the model's.
        ids: what to read first, at least one token.
        settings: how to write.
        memory: from an earlier call; empty to begin a text.

    Raises:
        StateError: the memory does not fit the model.
    """
    device = model.initial_state().wkv.device
    state = state_from_bytes(memory, model.config).to(device) if memory else None
    written = generate(model, tokenizer, ids, settings, state)
    for token in written:
        yield token.text
    assert written.result is not None
    yield state_to_bytes(written.result.state)
