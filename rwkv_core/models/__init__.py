"""A loaded model: pure functions from tokens and state to logits and state."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kernels.cuda.program import CudaProgram
from kernels.operators import CPU, Operator
from kernels.program import Program
from kernels.sentences import Sentence
from rwkv_core.config import Choice
from rwkv_core.errors import InputError, NonFiniteError, ShapeError
from rwkv_core.models.blocks import Network
from rwkv_core.models.loading import GENERATIONS, Checkpoint, open_checkpoint
from rwkv_core.models.packed import Packed
from rwkv_core.models.placing import build_network
from rwkv_core.models.recorder import Recorder
from rwkv_core.models.runtime import Kernel, Runtime, choose_runtime
from rwkv_core.recording import GLANCE, Recording, Wanted
from rwkv_core.state import State
from rwkv_core.strategy import Placement, choose_strategy, explain, parse_strategy

# Texts longer than this are read in pieces, so that memory does not grow with them.
CHUNK_TOKENS = 256


class Model:
    """A checkpoint ready to run: pure functions from tokens and state to logits and state.

    Attributes:
        config: sizes.
        name: of the checkpoint.
        fingerprint: sha256 of its weights, hex.
        parameters: how many numbers it has.
        weight_bytes: what they take in memory.
        placement: where the layers run.
        choices: "device", "dtype", "kernel", and where matrices are quantised "weights", each
            with the reason for it.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        placement: Placement,
        operator: Operator,
        reason: str,
        runtime: Runtime,
    ) -> None:
        """Place the weights; see load_model. The reason is that of the placement."""
        self.config = checkpoint.config
        self.name = checkpoint.name
        self.fingerprint = checkpoint.fingerprint
        self._device = runtime.gpu.torch_device if runtime.gpu else CPU
        gpu = self._device if runtime.gpu else None
        self.network = build_network(checkpoint, placement, pack_threads=runtime.threads, gpu=gpu)
        self._program: Program | CudaProgram | None = None
        if runtime.threads:
            self._program = Program(self.network.plan(), threads=runtime.threads)
        elif runtime.gpu:
            self._program = CudaProgram(self.network.plan(), runtime.gpu)
        # Of the last state that the program made, whose sizes and place need no look.
        self._made: tuple[weakref.ref[Tensor], ...] = ()
        self._operator = operator
        self.placement = placement
        self.parameters = sum(math.prod(shape) for shape in checkpoint.tensors.shapes.values())
        # Quantised matrices are buffers.
        held = (*self.network.parameters(), *self.network.buffers())
        self.weight_bytes = sum(tensor.nbytes for tensor in held)
        self.choices = explain(placement, self.config.n_layer, reason) | {"kernel": runtime.kernel}
        if runtime.threads:
            self.choices["dtype"] = _packed_dtype(self.network, self.choices["dtype"])

    def release(self) -> None:
        """Give the weights' memory back; sizes and names stay, nothing can be read any more."""
        self._program = None
        vars(self).pop("network", None)
        if any(stage.device.type == "cuda" for stage in self.placement.stages):
            torch.cuda.empty_cache()

    def read_all_weights(self) -> None:
        """Read packed weights that meet a zero too: to measure what leaving them out gains.

        On a GPU they are left out all the same.
        """
        if isinstance(self._program, Program):
            self._program.read_all_weights()

    def initial_state(self, batch: int = 1) -> State:
        """Make the memory of conversations that have not begun."""
        return State.zeros(self.config, batch, self._device)

    def forward(
        self, tokens: Tensor | list[int], state: State | None = None, *, all_logits: bool = False
    ) -> tuple[Tensor, State]:
        """Read tokens after a state, all at once.

        Args:
            tokens: (B, T) int64, or a list of ids for B = 1; T >= 1.
            state: memory before them, unchanged afterwards; the empty one by default.
            all_logits: for every token instead of the last.

        Returns:
            float32 logits, (B, V) or (B, T, V), and the new state, both where the state was.

        Raises:
            InputError: no tokens, or an id outside the vocabulary.
            ShapeError: the state's batch is not the tokens'.
            NonFiniteError: a number grew beyond its type; names the layer.
        """
        program = self._program
        if state and isinstance(program, Program):
            parts = (state.time_mix_shift, state.wkv, state.channel_mix_shift)
            token = self._only_token(tokens) if self._has_made(parts) else None
            if token is not None and state.batch_size == 1:
                logits, made, is_finite = program.step(token, parts)
                if is_finite:
                    return logits[:, None] if all_logits else logits, self._keep(made)
        ids = self._checked(tokens)
        state = state or self.initial_state(len(ids))
        if state.batch_size != len(ids):
            raise ShapeError(
                f"tokens hold {len(ids)} sequences, the state {state.batch_size}; "
                "give one state per sequence"
            )
        if program:
            logits, after, is_finite = self._run(program, ids, state, all_logits=all_logits)
        else:
            with torch.no_grad():
                x, after = self.network(ids, state, self._operator.run)
                logits = self.network.logits(x if all_logits else x[:, -1]).to(state.wkv.device)
                is_finite = _is_finite(logits)
        if not is_finite:
            self._refuse_non_finite(ids, state)
        return logits, after

    def _keep(self, made: tuple[Tensor, ...]) -> State:
        self._made = tuple(map(weakref.ref, made))
        return State(*made)

    def _has_made(self, parts: tuple[Tensor, ...]) -> bool:
        made = self._made
        return bool(made) and all(one() is part for one, part in zip(made, parts, strict=True))

    def _run(
        self, program: Program | CudaProgram, ids: Tensor, state: State, *, all_logits: bool
    ) -> tuple[Tensor, State, bool]:
        """Run the plan, which takes the state's sizes on trust; and are the logits finite?"""
        L, B, C = self.config.n_layer, len(ids), self.config.n_embd
        parts = (state.time_mix_shift, state.wkv, state.channel_mix_shift)
        expected = ((L, B, C), (L, B, *self.config.wkv_shape), (L, B, C))
        for part, shape in zip(parts, expected, strict=True):
            if part.shape != shape or part.dtype is not torch.float32:
                name = next(name for name, value in vars(state).items() if value is part)
                raise ShapeError(
                    f"the state's {name} is {part.dtype} {tuple(part.shape)}, this model needs "
                    f"float32 {shape}; give a state of this model"
                )
        home = state.wkv.device
        # Torch is not called where nothing has to be moved: after a token's weights have gone
        # through the cache, some ten of its calls take as long as a small layer.
        if home != self._device:
            moved = state.to(self._device)
            parts = (moved.time_mix_shift, moved.wkv, moved.channel_mix_shift)
        if isinstance(program, Program):
            logits, made, is_finite = program.run(ids, parts, all_logits=all_logits)
        elif ids.shape[1] == 1:
            logits, made = program.run(ids[:, 0], parts)
            logits, is_finite = logits[:, None] if all_logits else logits, _is_finite(logits)
        else:
            logits, made = program.read(ids, parts, all_logits=all_logits)
            is_finite = _is_finite(logits)
        if home != self._device:
            logits, made = logits.to(home), tuple(part.to(home) for part in made)
            return logits, State(*made), is_finite
        return logits, self._keep(made), is_finite

    def prefill(
        self,
        tokens: list[int],
        state: State | None = None,
        *,
        chunk_tokens: int = CHUNK_TOKENS,
        on_progress: Callable[[int], None] | None = None,
    ) -> tuple[Tensor, State]:
        """Read a text of any length in pieces, at constant memory.

        Args:
            tokens: ids, at least one.
            state: memory before them, unchanged afterwards.
            chunk_tokens: tokens per piece.
            on_progress: called after each piece with the number of tokens read so far.

        Returns:
            Logits after the last token, (1, V), and the state.
        """
        logits, state = self.forward(tokens[:chunk_tokens], state)
        for start in range(chunk_tokens, len(tokens), chunk_tokens):
            if on_progress:
                on_progress(start)
            logits, state = self.forward(tokens[start : start + chunk_tokens], state)
        if on_progress:
            on_progress(len(tokens))
        return logits, state

    def trace(
        self,
        tokens: list[int],
        state: State | None = None,
        *,
        logits: Tensor | None = None,
        wanted: Wanted = GLANCE,
    ) -> Recording:
        """Read tokens and measure what they do to the state.

        Args:
            tokens: ids, at least one.
            state: memory before them, unchanged afterwards.
            logits: (1, V) after the text before them; without, the first surprise is NaN.
            wanted: what to keep besides norms.
        """
        recorder = self.recorder(tokens, wanted)
        for start in range(0, max(1, len(tokens)), CHUNK_TOKENS):
            piece = tokens[start : start + CHUNK_TOKENS]
            logits, state = self.record(recorder, piece, state, logits)
        assert logits is not None
        assert state is not None
        return recorder.finish(logits[0], state)

    def recorder(self, tokens: list[int], wanted: Wanted = GLANCE) -> Recorder:
        """Prepare to measure a text that `record` then reads piece by piece."""
        return Recorder(self.config, self._operator, self.network.wkv_names, tokens, wanted)

    def record(
        self,
        recorder: Recorder,
        tokens: list[int],
        state: State | None = None,
        logits: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Read the next piece of a recorder's text.

        Args:
            recorder: takes the measures.
            tokens: the piece, at least one token.
            state: memory before it, unchanged afterwards.
            logits: (1, V) after the text before it; None where there was none.

        Returns:
            Logits after the piece's last token, (1, V), and the state.
        """
        with torch.no_grad():
            ids = self._checked(tokens)
            state = state or self.initial_state()
            x, after = self.network(ids, state, recorder.wkv, recorder.note)
            every = self.network.logits(x[0]).cpu()
            if not _is_finite(every):
                self._refuse_non_finite(ids, state)
            recorder.end_piece(self.network, every, logits)
        return every[-1:], after

    def _refuse_non_finite(self, ids: Tensor, state: State) -> None:
        """Read again with a look at every layer, and raise for the first that overflows."""
        places = self.placement.allocate(self.config.n_layer)
        bad = []
        hooks = [
            block.register_forward_hook(
                lambda _module, _inputs, output, layer=layer: (
                    None if torch.isfinite(output[0]).all() else bad.append(layer)
                )
            )
            for layer, block in enumerate(self.network.layers)
        ]
        try:
            with torch.no_grad():
                self.network(ids, state, self._operator.run)
        finally:
            for hook in hooks:
                hook.remove()
        if not all(bool(torch.isfinite(part).all()) for part in vars(state).values()):
            raise NonFiniteError(
                "the memory given already holds NaN or infinity; begin from an empty one"
            )
        index = bad[0] if bad else self.config.n_layer
        where = "the head"
        if bad:
            where = Sentence("layer {layer} of {count}", layer=index + 1, count=self.config.n_layer)
        dtype = str(places[index].dtype).removeprefix("torch.")
        advice = (
            "fp16 ends at 65,504, so choose bf16 or fp32"
            if places[index].dtype == torch.float16
            else "the weights, or the memory it began from, are damaged; fetch the checkpoint again, or begin from an empty memory"
        )
        raise NonFiniteError(
            "{where} gave NaN or infinity in {dtype}: {advice}",
            where=where,
            dtype=dtype,
            advice=advice,
        )

    def _only_token(self, tokens: Tensor | list[int]) -> int | None:
        if isinstance(tokens, Tensor):
            tokens = tokens.flatten().tolist() if tokens.shape in ((1,), (1, 1)) else []
        if len(tokens) != 1 or type(tokens[0]) is not int:
            return None
        self._require_known(tokens[0], tokens[0])
        return tokens[0]

    def _checked(self, tokens: Tensor | list[int]) -> Tensor:
        ids = torch.as_tensor(tokens, dtype=torch.int64)
        ids = ids[None] if ids.dim() == 1 else ids
        if ids.dim() != 2:
            raise ShapeError(f"tokens have shape {tuple(ids.shape)}; give (B, T) or a list of ids")
        if ids.numel() == 0:
            raise InputError("there are 0 tokens to read; give at least one")
        self._require_known(int(ids.min()), int(ids.max()))
        return ids

    def _require_known(self, low: int, high: int) -> None:
        if low < 0 or high >= self.config.vocab_size:
            token, last = low if low < 0 else high, self.config.vocab_size - 1
            raise InputError(
                "token id {token} is outside this model's vocabulary, 0 to {last}; use the "
                "tokenizer that belongs to it",
                token=token,
                last=last,
            )


def _is_finite(numbers: Tensor) -> bool:
    # A sum is NaN or infinite where any part is, and quicker than asking each. On the CPU it is
    # NumPy's: torch's would wake threads, which then spin in the way of the plan's.
    with np.errstate(over="ignore", invalid="ignore"):
        total = numbers.numpy().sum() if numbers.device.type == "cpu" else numbers.sum()
    return math.isfinite(total)


def _packed_dtype(network: Network, asked: Choice) -> Choice:
    """Name the type of the weights in memory, which may be the file's, and of products."""
    weights = [part.weight for part in network.modules() if isinstance(part, Packed)]
    kept = {weight.format.removesuffix("_rounded") for weight in weights}
    names = {"bf12": "bf16 (12 bit)", "bf16": "bf16", "fp16": "fp16", "fp32": "fp32"}
    floats = " and ".join(name for format, name in names.items() if format in kept)
    if not floats:
        return Choice(asked.value, "products of whole numbers, added up in fp32")
    why = "float weights kept in {floats}, products in fp32"
    if any(weight.inputs == "bf16" for weight in weights):
        why = "float weights kept in {floats}, products of bf16 added up in fp32"
    return Choice(asked.value, Sentence(why, floats=floats))


def load_model(
    path: str | Path,
    strategy: str | Choice | None = None,
    *,
    ln_x_eps: float | None = None,
    kernel: Kernel = "fastest",
    threads: int | None = None,
) -> Model:
    """Open a checkpoint and make it ready to run.

    Args:
        path: .pth, .safetensors, .st or .gguf, the index of its shards, or a folder in Hugging
            Face's layout (docs/checkpoints.md).
        strategy: devices and dtypes, as in the PyPI package rwkv: "cpu fp32", "cuda fp16 *10
            -> cpu int8" (see rwkv_core.strategy); chosen for the file when not given.
        ln_x_eps: epsilon of the group norm, where a file wants another than the official
            64e-5 and states none itself (some third-party RWKV-5 files: 1e-5).
        kernel: "fastest" packs weights where that is possible (see rwkv_core.models.runtime);
            "torch" never does.
        threads: of packed weights; as many as torch has by default.

    Raises:
        CheckpointError: the file cannot be used; says why.
        StrategyError: the strategy cannot run here; says what can.
    """
    if isinstance(strategy, str):
        why = Sentence("asked for by the strategy {strategy!r}", strategy=strategy)
        strategy = Choice(strategy, why)
    if strategy is not None:
        placement = parse_strategy(strategy.value)
    checkpoint = open_checkpoint(path, ln_x_eps=ln_x_eps)
    if strategy is None:
        strategy = choose_strategy(checkpoint.tensors.bits)
        placement = parse_strategy(strategy.value)
    generation, config = GENERATIONS[checkpoint.config.generation], checkpoint.config
    devices = [place.device for place in placement.allocate(config.n_layer)]
    operator = generation.select_operator(config, list(dict.fromkeys(devices)))
    runtime = choose_runtime(config, placement, operator, kernel=kernel, threads=threads)
    return Model(checkpoint, placement, operator, strategy.reason, runtime)
