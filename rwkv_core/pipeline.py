"""The faces of the PyPI package `rwkv`: code written for it runs with the import changed.

    from rwkv_core import PIPELINE, PIPELINE_ARGS, RWKV

What differs: states and logits are never changed in place; a state is one State, not a list of
tensors; top_p = 1 keeps all tokens instead of turning greedy; temperature 0 is the argmax;
settings out of range are refused; `refine_context` and the tiktoken vocabulary are left out.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from rwkv_core.errors import TokenizerError
from rwkv_core.generate import GenerationSettings, generate
from rwkv_core.models import Model, load_model
from rwkv_core.sampling import SamplingSettings, sample
from rwkv_core.state import State
from rwkv_core.tokenizer import BpeTokenizer, Tokenizer, WorldTokenizer


class RWKV:
    """A model with lists of ids going in and vectors of logits coming out.

    Args:
        model: path of a checkpoint, with or without .pth; or a model that is loaded already.
        strategy: device and dtype, such as "cpu fp32".
        verbose: taken for compatibility; nothing is printed either way.
    """

    def __init__(
        self, model: str | Path | Model, strategy: str = "cpu fp32", verbose: bool = True
    ) -> None:
        if isinstance(model, str | Path):
            model = load_model(model, strategy)
        self.model = model

    def forward(
        self, tokens: int | list[int], state: State | None, full_output: bool = False
    ) -> tuple[Tensor, State]:
        """Read tokens after a state.

        Args:
            tokens: one id, or a list of T.
            state: memory before them, not changed; None for an empty one.
            full_output: give the logits after every token instead of the last.

        Returns:
            float32 logits, (V,) or with full_output (T, V), and the new state.

        Raises:
            InputError: no tokens, or an id outside the vocabulary.
        """
        ids = [tokens] if isinstance(tokens, int) else tokens
        logits, state = self.model.forward(ids, state, all_logits=full_output)
        return logits[0], state


@dataclass
class PIPELINE_ARGS:
    """Settings of `PIPELINE.generate`, under the PyPI package's names.

    Attributes:
        temperature, top_p, top_k: as in SamplingSettings; top_p above 1 counts as 1.
        alpha_frequency, alpha_presence: penalties, taken from logits.
        alpha_decay: 0 to 1, factor on counted occurrences per token.
        token_ban: ids that are never chosen.
        token_stop: ids that end the text and are not shown.
        chunk_len: tokens of the prompt that are read at once.
    """

    temperature: float = 1.0
    top_p: float = 0.85
    top_k: int = 0
    alpha_frequency: float = 0.2
    alpha_presence: float = 0.2
    alpha_decay: float = 0.996
    token_ban: list[int] = field(default_factory=list)
    token_stop: list[int] = field(default_factory=list)
    chunk_len: int = 256


class PIPELINE:
    """Text in, text out.

    Draws come from a seed taken from numpy's global generator, so `np.random.seed` makes a
    text repeat, as with the PyPI package (the text itself differs).

    Args:
        model: an RWKV.
        WORD_NAME: "rwkv_vocab_v20230424" for World, else the path of a tokenizer JSON file.

    Raises:
        TokenizerError: no such vocabulary, or the file is broken.
    """

    def __init__(self, model: RWKV, WORD_NAME: str | Path) -> None:
        self.model = model
        self.tokenizer = _load_vocabulary(WORD_NAME, model.model.config.vocab_size)

    def encode(self, x: str) -> list[int]:
        """Turn text into ids."""
        return self.tokenizer.encode(x)

    def decode(self, x: list[int]) -> str:
        """Turn ids into text."""
        return self.tokenizer.decode(x)

    def sample_logits(
        self, logits: Tensor, temperature: float = 1.0, top_p: float = 0.85, top_k: int = 0
    ) -> int:
        """Choose a token from logits (V,), which stay as they are."""
        settings = SamplingSettings(temperature=temperature, top_p=min(top_p, 1.0), top_k=top_k)
        return sample(logits.float().cpu().numpy(), settings, seed=_draw_seed(), position=0)

    def generate(
        self,
        ctx: str,
        token_count: int = 100,
        args: PIPELINE_ARGS | None = None,
        callback: Callable[[str], object] | None = None,
        state: State | None = None,
    ) -> str:
        """Continue a text.

        Args:
            ctx: the text to continue, not empty.
            token_count: how many tokens to write at most, 1 to 4096.
            args: settings; the defaults of PIPELINE_ARGS when not given.
            callback: called with each piece of text, whole characters only.
            state: memory before ctx, not changed.

        Returns:
            The written text.

        Raises:
            InputError: ctx is empty.
            SettingsError: a setting is out of range.
        """
        args = args or PIPELINE_ARGS()
        sampling = SamplingSettings(
            temperature=args.temperature,
            top_p=min(args.top_p, 1.0),
            top_k=args.top_k,
            presence_penalty=args.alpha_presence,
            frequency_penalty=args.alpha_frequency,
            penalty_decay=args.alpha_decay,
            banned=tuple(args.token_ban),
            seed=_draw_seed(),
        )
        settings = GenerationSettings(sampling, token_count, (), tuple(args.token_stop))
        tokens = generate(
            self.model.model,
            self.tokenizer,
            self.encode(ctx),
            settings,
            state,
            chunk_tokens=args.chunk_len,
        )
        pieces = []
        for token in tokens:
            pieces.append(token.text)
            if callback and token.text:
                callback(token.text)
        return "".join(pieces)


def _draw_seed() -> int:
    return int(np.random.randint(2**32))


def _load_vocabulary(name: str | Path, vocab_size: int) -> Tokenizer:
    if str(name) == "rwkv_vocab_v20230424":
        return WorldTokenizer()
    if not Path(name).exists():
        raise TokenizerError(
            f"no vocabulary {str(name)!r}; give 'rwkv_vocab_v20230424' or the path of a "
            "tokenizer.json"
        )
    return BpeTokenizer(Path(name), vocab_size)
