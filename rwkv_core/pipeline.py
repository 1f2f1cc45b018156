"""The faces of the PyPI package `rwkv`: code written for it runs with the import changed.

    from rwkv_core import PIPELINE, PIPELINE_ARGS, RWKV

docs/from-rwkv.md lists what differs. What has no counterpart here says in one sentence what to
write instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from rwkv_core.checkpoint import resolve_path
from rwkv_core.errors import (
    CheckpointError,
    InputError,
    NotOfferedError,
    SettingsError,
    ShapeError,
    StateError,
    TokenizerError,
)
from rwkv_core.models import Model, load_model
from rwkv_core.sampling import Logits, Penalties, SamplingSettings, sample
from rwkv_core.state import State
from rwkv_core.tokenizer import BpeTokenizer, StreamDecoder, Tokenizer, WorldTokenizer

WORLD = "rwkv_vocab_v20230424"
MAX_TOP_K = 65536

# Attributes of the package's models -> what to write instead.
_NOT_OFFERED = {
    "w": "read model.model.network.state_dict(), under the checkpoint's names",
    "z": "read model.model.network.state_dict(), under the checkpoint's names",
    "strategy": "read model.model.placement.allocate(model.args.n_layer), one place per layer",
    "forward_one": "call model.forward(token, state)",
    "forward_seq": "call model.forward(tokens, state, full_output)",
    "forward_one_alt": "call model.forward(token, state), which never changes the state",
    "RESCALE_LAYER": "leave it out: fp16 is rescaled where a generation needs it",
}
# "RWKV/rwkv-4-169m-pile" or "rwkv-7-world": one or two words, as models are called on the web.
_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?(?<!\.pth)(?<!\.safetensors)")


class RWKV:
    """A model with lists of ids going in and vectors of logits coming out.

    Args:
        model: path of a checkpoint, with or without .pth; or a model that is loaded already.
        strategy: devices and dtypes, such as "cpu fp32"; see rwkv_core.strategy.
        verbose: taken for compatibility; nothing is printed either way.
        convert_and_save_and_exit: only None; files are converted while they are loaded.

    Attributes:
        model: the Model behind this face.
        args: MODEL_NAME, strategy_string, n_layer, n_embd, n_att, n_ffn, n_head, head_size,
            vocab_size.
        version: 4.0, 5.0, 5.1, 5.2, 6.0 or 7.0.

    Raises:
        CheckpointError: no such file, or not a checkpoint; says which.
        StrategyError: the strategy cannot run here; says what can.
        SettingsError: convert_and_save_and_exit is given.
    """

    def __init__(
        self,
        model: str | Path | Model,
        strategy: str = "cpu fp32",
        verbose: bool = True,
        convert_and_save_and_exit: str | None = None,
    ) -> None:
        if convert_and_save_and_exit is not None:
            raise SettingsError(
                f"no converted copy is saved as {convert_and_save_and_exit!r}: checkpoints are "
                "mapped and converted while they are loaded; leave convert_and_save_and_exit out"
            )
        if isinstance(model, Model):
            name, strategy = model.name, model.placement.describe(model.config.n_layer)
        else:
            name, model = str(model), load_model(_find_checkpoint(model), strategy)
        config = model.config
        self.model = model
        self.args = SimpleNamespace(
            MODEL_NAME=name,
            strategy_string=strategy,
            n_layer=config.n_layer,
            n_embd=config.n_embd,
            n_att=config.n_embd,
            n_ffn=config.n_ffn,
            n_head=config.n_head,
            head_size=config.head_size,
            vocab_size=config.vocab_size,
        )
        # "7a" is 7.0 with a table beside it.
        self.version = float(config.generation.rstrip("ab"))
        self.n_layer, self.n_embd = config.n_layer, config.n_embd
        self.n_head, self.head_size = config.n_head, config.head_size

    def __getattr__(self, name: str) -> object:
        if name in _NOT_OFFERED:
            raise NotOfferedError(f"RWKV has no {name} here; {_NOT_OFFERED[name]}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def generate_zero_state(self) -> State:
        """Make the memory before any token."""
        return _ListlessState.of(self.model.initial_state())

    def forward(
        self,
        tokens: int | Sequence[int] | Tensor | np.ndarray,
        state: State | None = None,
        full_output: bool = False,
    ) -> tuple[Tensor, State]:
        """Read tokens after a state.

        Args:
            tokens: one id, or T of them.
            state: memory before them, not changed; None for an empty one.
            full_output: give the logits after every token instead of the last.

        Returns:
            float32 logits, (V,) or with full_output (T, V), and the new state. Both belong to
            the caller: changing them changes nothing else.

        Raises:
            InputError: no tokens, text instead of ids, or an id outside the vocabulary.
            ShapeError: more than one sequence of tokens.
            StateError: the state is a list of tensors, as the package keeps it.
        """
        if state is not None and not isinstance(state, State):
            raise StateError(
                f"the state is a {type(state).__name__}, but here it is one State; give None, "
                "model.generate_zero_state() or what model.forward returned"
            )
        ids = [tokens] if type(tokens) is int else _as_ids(tokens)[None]
        logits, after = self.model.forward(ids, state, all_logits=full_output)
        return logits[0], _ListlessState.of(after)

    __call__ = forward


@dataclass
class PIPELINE_ARGS:
    """Settings of `PIPELINE.generate`, under the PyPI package's names.

    Attributes:
        temperature: 0 to 10; 0 takes the most likely token.
        top_p: 0 to 1; values beyond either end count as that end.
        top_k: keeps at most this many tokens; 0 and less keep all.
        alpha_frequency, alpha_presence: -10 to 10, taken from the logits of written tokens.
        alpha_decay: 0 to 1, factor on counted occurrences per token.
        token_ban: ids that are never chosen.
        token_stop: ids that end the text and are not shown.
        chunk_len: tokens of the prompt that are read at once, at least 1.

    Raises:
        SettingsError: token_count is given, which belongs to `PIPELINE.generate`.
    """

    temperature: float = 1.0
    top_p: float = 0.85
    top_k: int = 0
    alpha_frequency: float = 0.2
    alpha_presence: float = 0.2
    alpha_decay: float = 0.996
    token_ban: Collection[int] = field(default_factory=list)
    token_stop: Collection[int] = field(default_factory=list)
    chunk_len: int = 256
    token_count: InitVar[int | None] = field(default=None, kw_only=True)

    def __post_init__(self, token_count: int | None) -> None:
        if token_count is not None:
            raise SettingsError(
                f"token_count is no setting of PIPELINE_ARGS; call pipeline.generate(ctx, "
                f"token_count={token_count}, args=args)"
            )


class PIPELINE:
    """Text in, text out.

    Draws come from a seed taken from numpy's global generator, so `np.random.seed` makes a
    text repeat, as with the PyPI package (the text itself differs).

    Args:
        model: an RWKV; None for the vocabulary and the sampler alone.
        WORD_NAME: "rwkv_vocab_v20230424" for World, else the path of a tokenizer JSON file.

    Attributes:
        model: as given.
        tokenizer: encodes and decodes; see rwkv_core.tokenizer.Tokenizer.

    Raises:
        TokenizerError: no such vocabulary, or the file is broken or too large for the model.
    """

    def __init__(self, model: RWKV | None, WORD_NAME: str | Path) -> None:
        self.model = model
        self.tokenizer = _load_vocabulary(
            WORD_NAME, None if model is None else model.args.vocab_size
        )

    def refine_context(self, context: str) -> str:
        """Strip every line, drop the empty ones, and begin with a line break."""
        lines = (line.strip() for line in context.split("\n"))
        return "\n" + "\n".join(line for line in lines if line)

    def encode(self, x: str) -> list[int]:
        """Turn text into ids."""
        return self.tokenizer.encode(x)

    def decode(self, x: int | Sequence[int]) -> str:
        """Turn ids, or one id, into text; bytes that are no character become U+FFFD."""
        return self.tokenizer.decode(_as_ids(x).tolist())

    def sample_logits(
        self,
        logits: Tensor | ArrayLike,
        temperature: float = 1.0,
        top_p: float = 0.85,
        top_k: int = 0,
    ) -> int:
        """Choose a token.

        Args:
            logits: (V,), of torch or numpy; not changed.
            temperature: as in PIPELINE_ARGS, and so are the others.
            top_p: see there.
            top_k: see there.

        Raises:
            SettingsError: temperature is out of range, or every logit is -infinity.
            ShapeError: logits are not one vector.
        """
        row = _as_row(logits)
        settings = _sampling_settings(PIPELINE_ARGS(temperature, top_p, top_k))
        return sample(row, settings, seed=_draw_seed(), position=0)

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
            ctx: the text to continue; an empty one begins a new text, after end_of_text.
            token_count: how many tokens to write at most.
            args: settings; the defaults of PIPELINE_ARGS when not given.
            callback: called with each piece of text, whole characters only.
            state: memory before ctx, not changed.

        Returns:
            The written text; a character that token_count cuts is left out.

        Raises:
            InputError: ctx is empty though a state is given, or there is no model.
            SettingsError: a setting is out of range.
        """
        args = args or PIPELINE_ARGS()
        if self.model is None:
            raise InputError("this PIPELINE has no model; make it as PIPELINE(model, vocabulary)")
        if args.chunk_len < 1:
            raise SettingsError(f"chunk_len is {args.chunk_len}, but must be at least 1, as is 256")
        settings, seed = _sampling_settings(args), _draw_seed()
        penalties, decoder = Penalties(settings, self.tokenizer), StreamDecoder(self.tokenizer)
        ids, pieces = self._first_ids(ctx, state), []
        for position in range(token_count):
            for start in range(0, len(ids), args.chunk_len):
                logits, state = self.model.forward(ids[start : start + args.chunk_len], state)
            token = sample(
                _as_row(logits), settings, seed=seed, position=position, penalties=penalties
            )
            if token in args.token_stop:
                break
            penalties = penalties.after(token)
            if piece := decoder.feed(token):
                pieces.append(piece)
                if callback:
                    callback(piece)
            ids = [token]
        return "".join(pieces)

    def _first_ids(self, ctx: str, state: State | None) -> list[int]:
        if not ctx and state is not None:
            raise InputError(
                "there is no text to continue after this state, and a state holds no logits; "
                "give the last words as ctx, with the state from before them"
            )
        return self.encode(ctx) if ctx else [self.tokenizer.end_of_text]


class _ListlessState(State):
    """A State that says what to do when it is indexed as the package's list of tensors is."""

    @classmethod
    def of(cls, state: State) -> State:
        return cls(**vars(state))

    def __getitem__(self, index: object) -> object:
        raise StateError(
            f"a state is one value here, not a list, so [{index!r}] names nothing; read "
            "state.time_mix_shift, state.wkv and state.channel_mix_shift, layers first"
        )


def _sampling_settings(args: PIPELINE_ARGS) -> SamplingSettings:
    return SamplingSettings(
        temperature=args.temperature,
        top_p=min(max(args.top_p, 0.0), 1.0),
        # No vocabulary has more ids, so more than that keeps all too.
        top_k=min(max(int(args.top_k), 0), MAX_TOP_K),
        presence_penalty=args.alpha_presence,
        frequency_penalty=args.alpha_frequency,
        penalty_decay=args.alpha_decay,
        banned=tuple(args.token_ban),
    )


def _draw_seed() -> int:
    return int(np.random.randint(2**32))


def _as_ids(tokens: object) -> Tensor:
    """Turn what user code gives as tokens into (T,) int64."""
    if tokens is None:
        raise InputError(
            "tokens are None, but every step reads a token; give the one that was chosen: "
            "token = pipeline.sample_logits(out), then model.forward(token, state)"
        )
    if isinstance(tokens, str):
        raise InputError(
            f"tokens are the text {tokens[:20]!r}; give ids: model.forward(pipeline.encode(text), "
            "state)"
        )
    given = torch.as_tensor(tokens, device="cpu")
    if given.numel() and (given.is_floating_point() or given.is_complex()):
        raise InputError(f"tokens are numbers of {given.dtype}; give whole numbers, ids of tokens")
    ids = given.to(torch.int64)
    if ids.dim() > 1:
        raise ShapeError(
            f"tokens have shape {tuple(ids.shape)}, but one list of ids is read at a time; for a "
            "batch call model.model.forward"
        )
    return ids.reshape(-1)


def _as_row(logits: Tensor | ArrayLike) -> Logits:
    if isinstance(logits, Tensor):
        logits = logits.detach().float().cpu().numpy()
    row = np.asarray(logits, np.float32)
    if row.ndim != 1:
        raise ShapeError(
            f"logits have shape {row.shape}, but one token is chosen from one vector; of "
            "full_output give the last row, logits[-1]"
        )
    return row


def _find_checkpoint(text: str | Path) -> Path:
    try:
        return resolve_path(text)
    except CheckpointError as error:
        if not _NAME.fullmatch(str(text)):
            raise
        raise CheckpointError(
            f"{error}; a name is not looked up on the web: download a checkpoint, such as one of "
            "https://huggingface.co/BlinkDL, and give RWKV(model=...) the path of the file"
        ) from error


def _load_vocabulary(name: str | Path, vocab_size: int | None) -> Tokenizer:
    path = Path(name)
    if path.name.removesuffix(".txt") == WORLD:
        return WorldTokenizer()
    if not path.exists():
        raise TokenizerError(
            f"no vocabulary {str(name)!r}; give {WORLD!r}, or the path of a tokenizer JSON file, "
            "such as 20B_tokenizer.json of https://github.com/BlinkDL/ChatRWKV"
        )
    return BpeTokenizer(path, vocab_size)


# For torch.load, by itself, to read what torch.save made of a state.
torch.serialization.add_safe_globals([_ListlessState])
