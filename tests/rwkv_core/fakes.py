"""A model and a vocabulary small enough to know by heart."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rwkv_core.config import Choice, ModelConfig
from rwkv_core.errors import InputError, TokenizerError
from rwkv_core.recording import Recording
from rwkv_core.state import State


class FakeTokenizer:
    """Id 0 has no bytes, id b + 1 is byte b, then come the given pieces; longest match."""

    name = "fake"
    end_of_text = 0

    def __init__(self, *pieces: str) -> None:
        self.table = [b"", *(bytes([byte]) for byte in range(256)), *(p.encode() for p in pieces)]
        self.vocab_size = len(self.table)

    def encode(self, text: str) -> list[int]:
        data, ids = text.encode(), []
        while data:
            ids.append(max(range(1, self.vocab_size), key=lambda i: self._match(i, data)))
            data = data[len(self.table[ids[-1]]) :]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        return b"".join(self.token_bytes(i) for i in ids).decode(errors="replace")

    def token_bytes(self, token: int) -> bytes:
        if not 0 <= token < self.vocab_size:
            raise TokenizerError(f"{token} is outside 0 to {self.vocab_size - 1}")
        return self.table[token]

    def _match(self, token: int, data: bytes) -> int:
        return len(self.table[token]) if data.startswith(self.table[token]) else 0


class FakeModel:
    """Logits are drawn from the history of tokens, which the state holds as a hash and a count.

    With `writes`, the text `writes` is by far the most likely: after n tokens comes writes[n],
    and id 0 after its end.
    """

    name = "fake"
    fingerprint = "f" * 64
    parameters = 0
    weight_bytes = 0

    def __init__(self, vocab_size: int, writes: Sequence[int] = ()) -> None:
        self.config = ModelConfig("7", vocab_size, 1, 4, 4, 2, 2)
        self.choices = {name: Choice("fake", "a test") for name in ("device", "dtype", "kernel")}
        self.writes = list(writes)

    def release(self) -> None:
        """There is nothing to give back."""

    def initial_state(self, batch: int = 1) -> State:
        return State.zeros(self.config, batch)

    def forward(
        self, tokens: Tensor | list[int], state: State | None = None, *, all_logits: bool = False
    ) -> tuple[Tensor, State]:
        ids = torch.as_tensor(tokens, dtype=torch.int64)
        ids = ids[None] if ids.dim() == 1 else ids
        if ids.numel() == 0 or not 0 <= int(ids.min()) <= int(ids.max()) < self.config.vocab_size:
            raise InputError(f"{ids.tolist()} holds no tokens, or ids outside the vocabulary")
        state = state or self.initial_state(len(ids))
        history = state.time_mix_shift[0, :, 0].long()
        count = state.channel_mix_shift[0, :, 0].long()
        rows = []
        for column in ids.T:
            history, count = (history * 31 + column + 1) % 65521, count + 1
            rows.append(
                torch.stack([self._row(*pair) for pair in zip(history, count, strict=True)])
            )
        shifts = [part.clone() for part in (state.time_mix_shift, state.channel_mix_shift)]
        shifts[0][0, :, 0], shifts[1][0, :, 0] = history.float(), count.float()
        logits = torch.stack(rows, dim=1)  # (B, T, V)
        return logits if all_logits else logits[:, -1], State(
            shifts[0], state.wkv + ids.shape[1], shifts[1]
        )

    def prefill(
        self, tokens: list[int], state: State | None = None, *, chunk_tokens: int = 256
    ) -> tuple[Tensor, State]:
        for start in range(0, len(tokens), chunk_tokens):
            logits, state = self.forward(tokens[start : start + chunk_tokens], state)
        assert state is not None
        return logits, state

    def _row(self, history: Tensor, count: Tensor) -> Tensor:
        rng = np.random.default_rng(int(history))
        row = 2 * rng.standard_normal(self.config.vocab_size, dtype=np.float32)
        if self.writes:
            row[self.writes[int(count)] if int(count) < len(self.writes) else 0] = 60
        return torch.from_numpy(row)


def flat_recording(tokens: Sequence[int], logits: Tensor, state: State) -> Recording:
    """A recording of one layer that measured nothing."""
    flat = np.zeros((1, len(tokens)), np.float32)
    return Recording(
        tokens=np.array(tokens),
        state_norm=flat,
        change_norm=flat,
        fade_norm=flat,
        erase_norm=flat,
        write_norm=flat,
        head_norm=flat,
        log_decay=flat,
        surprise_bits=flat[0],
        logits=logits.numpy(),
        state=state,
    )
