"""The whole memory of a conversation, as an immutable value."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rwkv_core.config import ModelConfig
from rwkv_core.errors import ShapeError, StateError

FILE_FORMAT = "rwkv-state-1"
# RWKV-4's largest exponent before any token: every exponent is larger.
EMPTY_EXPONENT = -1e30
MAX_TEXT_TAIL = 200
MAX_NAME = 80
_PARTS = ("time_mix_shift", "wkv", "channel_mix_shift")


@dataclass(frozen=True, eq=False)
class State:
    """Memory after some tokens. Never changed in place: every step makes a new one.

    Attributes:
        time_mix_shift: (L, B, C) float32, ln1 output of the last token.
        wkv: (L, B, H, V, K) float32, the matrix memory; rows are values, columns keys. For
            RWKV-4 (L, B, 3, C): numerator, denominator and largest exponent per channel.
        channel_mix_shift: (L, B, C) float32, ln2 output of the last token.
    """

    time_mix_shift: Tensor
    wkv: Tensor
    channel_mix_shift: Tensor

    @classmethod
    def zeros(
        cls, config: ModelConfig, batch: int = 1, device: torch.device | str = "cpu"
    ) -> State:
        """Make the state before any token."""
        shift = (config.n_layer, batch, config.n_embd)
        wkv = torch.zeros(
            config.n_layer, batch, *config.wkv_shape, device=device, dtype=torch.float32
        )
        if config.has_exponents:
            wkv[:, :, 2] = EMPTY_EXPONENT
        return cls(
            torch.zeros(shift, device=device, dtype=torch.float32),
            wkv,
            torch.zeros(shift, device=device, dtype=torch.float32),
        )

    @classmethod
    def stack(cls, states: Sequence[State]) -> State:
        """Join states into one batch, in order."""
        if not states:
            raise ShapeError("cannot stack 0 states; give at least one")
        return cls(*(torch.cat([getattr(s, part) for s in states], dim=1) for part in _PARTS))

    @property
    def batch_size(self) -> int:
        """Number of conversations held, B."""
        return self.wkv.shape[1]

    @property
    def memory(self) -> Tensor:
        """What is remembered, (L, B, H, V, K): the wkv state, the same tensor.

        RWKV-4 remembers a weighted mean of its values, numerator over denominator, as one row:
        (L, B, 1, 1, C), zeros before any token.
        """
        if self.wkv.dim() == 5:
            return self.wkv
        numerator, denominator, _ = self.wkv.unbind(2)
        mean = torch.where(denominator > 0, numerator / denominator, torch.zeros_like(numerator))
        return mean[:, :, None, None]

    @property
    def nbytes(self) -> int:
        """Bytes of all three tensors."""
        return sum(getattr(self, part).nbytes for part in _PARTS)

    def select(self, index: int) -> State:
        """Copy one conversation out of a batch; the result has B = 1 and its own storage."""
        return State(*(part.clone() for part in vars(self.at(index)).values()))

    def at(self, index: int) -> State:
        """View one conversation of a batch, which the view keeps in memory; B = 1."""
        if not 0 <= index < self.batch_size:
            raise ShapeError(f"no conversation {index} in a batch of {self.batch_size}")
        return State(*(getattr(self, part)[:, index : index + 1] for part in _PARTS))

    def to(self, device: torch.device | str) -> State:
        """Move to a device; tensors that are there already are shared, not copied."""
        return State(*(getattr(self, part).to(device) for part in _PARTS))

    def save(
        self,
        path: Path,
        config: ModelConfig,
        fingerprint: str,
        *,
        tokens: int,
        text_tail: str,
        name: str = "",
        logits: NDArray[np.float32] | None = None,
    ) -> None:
        """Write one safetensors file that says which model it belongs to.

        Args:
            path: file to write.
            config: sizes of the model that made this state.
            fingerprint: hash of that model's weights.
            tokens: how many tokens were read to get here.
            text_tail: the last words read, shown when the file is chosen again.
            name: what a person calls it.
            logits: (V,) scores of the token that comes next, so that no word is needed to go on.

        Raises:
            ShapeError: more than one conversation; select one first.
        """
        if self.batch_size != 1:
            raise ShapeError(
                f"a state file holds 1 conversation, this state {self.batch_size}; select one"
            )
        metadata = {
            "format": FILE_FORMAT,
            "generation": config.generation,
            "sizes": json.dumps([config.n_layer, config.n_embd, config.n_head, config.head_size]),
            "fingerprint": fingerprint,
            "tokens": str(tokens),
            "text_tail": text_tail[-MAX_TEXT_TAIL:],
            "name": name[:MAX_NAME],
        }
        tensors = {part: getattr(self, part).cpu().contiguous() for part in _PARTS}
        if logits is not None:
            tensors["logits"] = torch.from_numpy(logits).contiguous()
        save_file(tensors, path, metadata=metadata)

    @classmethod
    def load(cls, path: Path, config: ModelConfig, fingerprint: str) -> tuple[State, int, str]:
        """Read a state file that this very model wrote.

        Returns:
            The state, the number of tokens it has read, and the tail of their text.

        Raises:
            StateError: not a state file, another model's, or holding NaN or infinity.
        """
        saved = SavedMemory.load(path, config, fingerprint)
        return saved.memory.state, saved.memory.tokens, saved.text_tail


@dataclass(frozen=True, eq=False)
class Memory:
    """A state and what else it takes to go on from it with the very same words.

    Attributes:
        state: B = 1.
        tokens: how many tokens it has read; the next one is drawn with the noise of that place.
        logits: (V,) float32, the scores of the next token; None where nobody knows them.
    """

    state: State
    tokens: int
    logits: NDArray[np.float32] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the state and the scores."""
        return self.state.nbytes + (0 if self.logits is None else self.logits.nbytes)

    def key(self) -> str:
        """Name it by its content, so that the same memory has the same name everywhere.

        The name begins with the number of tokens, see `tokens_of`.
        """
        digest = hashlib.sha256(str(self.tokens).encode())
        for part in _PARTS:
            digest.update(getattr(self.state, part).cpu().contiguous().numpy().tobytes())
        if self.logits is not None:
            digest.update(self.logits.tobytes())
        return f"{self.tokens}-{digest.hexdigest()[:32]}"


def is_root(text: str) -> bool:
    """Whether a text could be a name from `Memory.key`, or "" for no memory."""
    return re.fullmatch("([0-9]{1,18}-[0-9a-f]{32})?", text) is not None


def tokens_of(root: str) -> int:
    """How many tokens the memory has read that `Memory.key` gave this name; 0 for ""."""
    return int(root.partition("-")[0] or 0)


@dataclass(frozen=True, eq=False)
class SavedMemory:
    """What a file holds that State.save wrote.

    Attributes:
        memory: the state, how much it has read, and the scores of the next token if kept.
        text_tail: the last words read.
        name: what a person called it; may be empty.
    """

    memory: Memory
    text_tail: str
    name: str

    @classmethod
    def load(cls, path: Path, config: ModelConfig, fingerprint: str) -> SavedMemory:
        """Read a state file that this very model wrote.

        Raises:
            StateError: not a state file, another model's, or holding NaN or infinity.
        """
        expected = State.zeros(config, batch=1, device="meta")
        scores = torch.zeros(config.vocab_size, device="meta", dtype=torch.float32)
        logits = None
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                _check_owner(metadata, config, fingerprint)
                names = set(file.keys())
                if names - {"logits"} != set(_PARTS):
                    raise StateError(
                        "{file} lacks the tensors {names}", file=path.name, names=", ".join(_PARTS)
                    )
                tensors = [
                    _checked(part, file.get_slice(part), getattr(expected, part)) for part in _PARTS
                ]
                if "logits" in names:
                    logits = _checked("logits", file.get_slice("logits"), scores).numpy()
        except (SafetensorError, OSError) as error:
            raise StateError(
                "{file} is not a readable state file ({reason}); choose a .safetensors file "
                "saved by this playground",
                file=path.name,
                reason=error,
            ) from error
        memory = Memory(State(*tensors), int(metadata["tokens"]), logits)
        tail, name = metadata.get("text_tail", ""), metadata.get("name", "")
        return cls(memory, tail[-MAX_TEXT_TAIL:], name[:MAX_NAME])


def _check_owner(metadata: dict[str, str], config: ModelConfig, fingerprint: str) -> None:
    is_count = re.fullmatch("[0-9]{1,18}", metadata.get("tokens", ""))
    if metadata.get("format") != FILE_FORMAT or not is_count:
        raise StateError(
            "this file is not a saved state; choose a .safetensors file saved by this playground"
        )
    if metadata.get("fingerprint") != fingerprint:
        raise StateError(
            "this state belongs to another model (RWKV-{generation}, sizes {sizes}, "
            "fingerprint {fingerprint}), not to the one loaded (RWKV-{here}, {layers} layers "
            "of {width}, fingerprint {our_fingerprint}); load that model first",
            generation=metadata.get("generation", "?"),
            sizes=metadata.get("sizes", "?"),
            fingerprint=metadata.get("fingerprint", "?")[:12],
            here=config.generation,
            layers=config.n_layer,
            width=config.n_embd,
            our_fingerprint=fingerprint[:12],
        )


def _checked(name: str, part: object, expected: Tensor) -> Tensor:
    """Read one tensor after its shape and dtype have been compared with the model's."""
    shape, dtype = tuple(part.get_shape()), part.get_dtype()  # type: ignore[attr-defined]
    if shape != tuple(expected.shape) or dtype != "F32":
        raise StateError(
            "{name} is {dtype} {shape} in the file, this model needs F32 {wanted}",
            name=name,
            dtype=dtype,
            shape=shape,
            wanted=tuple(expected.shape),
        )
    # Cloned, since safetensors maps the file: saving over it would change this state or crash.
    tensor: Tensor = part[:].clone()  # type: ignore[index]
    if not bool(torch.isfinite(tensor).all()):
        raise StateError(
            "{name} holds NaN or infinity; the file is broken, save it again", name=name
        )
    return tensor


# For torch.load, by itself, to read what torch.save made of a state.
torch.serialization.add_safe_globals([State])
