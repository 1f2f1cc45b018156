"""What all generations share: a stack of blocks between an embedding and a head.

Every block adds a time mix, then a channel mix, each after a layer norm, to the residual
stream x (B, T, C), which stays float32. Matrix products run in the weights' dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.operators import CPU, Operator
from kernels.plan import Plan
from kernels.plan_parts import StoredMatrix, Value
from rwkv_core.checkpoint.weights import QuantizedRows
from rwkv_core.config import ModelConfig
from rwkv_core.models.packed import Packed
from rwkv_core.models.sizes import Shapes
from rwkv_core.state import State

LAYER_NORM_EPS = 1e-5

Wkv = Callable[..., tuple[Tensor, Tensor]]
Memory = tuple[Tensor, Tensor, Tensor]
Note = Callable[[str, Tensor], None]


def ignore(name: str, value: Tensor) -> None:
    """Do nothing with what a part computed; the inspector's recorder does."""


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """Multiply (..., in) by a (out, in) weight in the weight's dtype; the result is float32.

    A weight that lies elsewhere is copied to x's device for this product (streaming).
    """
    weight = weight.to(x.device, non_blocking=True)
    return F.linear(x.to(weight.dtype), weight).float()


def times(x: Tensor, weight: Tensor | nn.Module) -> Tensor:
    """Compute x @ weight with a (in, out) weight, or a packed one in its place; float32."""
    if isinstance(weight, nn.Module):
        product: Tensor = weight(x)
        return product
    return linear(x, weight.mT)


def times_each(x: Tensor, weight: Tensor | nn.Module) -> Tensor:
    """Compute each x[i] @ weight[i], x (n, tokens, in), weight (n, in, out) or packed; float32."""
    if isinstance(weight, nn.Module):
        product: Tensor = weight(x)
        return product
    weight = weight.to(x.device, non_blocking=True)
    return torch.bmm(x.to(weight.dtype), weight).float()


def low_rank(x: Tensor, w1: Tensor, w2: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
    """Compute activation(x @ w1) @ w2 with w1 (C, rank) and w2 (rank, C); float32."""
    return times(activation(times(x, w1)), w2)


def identity(x: Tensor) -> Tensor:
    """Return x: no activation, no dropout."""
    return x


def token_shift(xn: Tensor, shift: Tensor) -> Tensor:
    """Move xn (B, T, C) one token later; shift (B, C) is what came before the first."""
    return torch.cat([shift[:, None], xn[:, :-1]], dim=1)


class Matrix(nn.Module):
    """A (out, in) weight, left empty: nobody waits for random numbers to be replaced."""

    def __init__(self, rows: int, columns: int) -> None:
        """Make the empty weight."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, columns, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Multiply x (..., in); the result (..., out) is float32."""
        return linear(x, self.weight)


class Lookup(nn.Module):
    """A (rows, columns) table whose rows are picked by number and never multiplied.

    No strategy converts, moves or quantises it: its weight stays mapped in the file, in the
    file's dtype, and only the rows that are asked for travel.
    """

    def __init__(self, rows: int, columns: int) -> None:
        """Make the empty table."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, columns, dtype=torch.float32))

    def forward(self, numbers: Tensor, device: torch.device) -> Tensor:
        """Fetch the rows of numbers (...) to a device; (..., columns) float32."""
        rows = F.embedding(numbers.to(self.weight.device), self.weight)
        return rows.to(device).float()

    def plan(self, p: Plan) -> Value:
        """Note the same in a plan, for each token."""
        return p.embed(self.weight)


class QuantizedLookup(nn.Module):
    """A Lookup in a file's quantised blocks, of which only the rows asked for are unpacked."""

    blocks: Tensor

    def __init__(self, rows: QuantizedRows, columns: int) -> None:
        """Keep the blocks where they are mapped; each row is of so many columns."""
        super().__init__()
        self._rows, self._columns = rows, columns
        self.register_buffer("blocks", rows.blocks)

    def forward(self, numbers: Tensor, device: torch.device) -> Tensor:
        """Fetch the rows of numbers (...) to a device; (..., columns) float32."""
        return self._rows.unpack(self.blocks[numbers.cpu()]).to(device)

    def plan(self, p: Plan) -> Value:
        """Note the same in a plan; a GPU gets the numbers."""
        if p.device.type == "cpu":
            return p.embed_blocks(self.blocks, self._rows.kind, self._columns)
        return p.embed(self._rows.unpack(self.blocks))


class Vectors(nn.Module):
    """A part whose parameters are named as in the checkpoint and made empty."""

    def add_empty(self, name: str, *shape: int) -> None:
        """Add a parameter of this name and shape."""
        self.register_parameter(name, nn.Parameter(torch.empty(shape, dtype=torch.float32)))

    def packed(self, name: str) -> StoredMatrix:
        """Get a matrix that placing has packed."""
        part = self.get_submodule(name)
        assert isinstance(part, Packed)
        return part.weight


class GatedChannelMix(Vectors):
    """The feed-forward half of RWKV-4, 5 and 6: a squared-ReLU network behind a sigmoid gate."""

    def __init__(self, config: ModelConfig) -> None:
        """Make empty matrices; the generation adds its mixing vectors."""
        super().__init__()
        C = config.n_embd
        self.key = Matrix(config.n_ffn, C)
        self.receptance = Matrix(C, C)
        self.value = Matrix(C, config.n_ffn)

    def gated(self, z_k: Tensor, z_r: Tensor, shared: Shared) -> Tensor:
        """Compute sigmoid(Wr z_r) * (Wv relu(Wk z_k)^2) from mixed inputs (B, T, C)."""
        hidden = torch.relu(self.key(z_k)).square()
        gate = torch.sigmoid(self.receptance(z_r))
        shared.note("active", hidden)
        shared.note("channel gate", gate)
        added: Tensor = gate * self.value(hidden)
        return added

    def plan_gated(self, p: Plan, x: Value, z_k: Value, z_r: Value) -> None:
        """Note gated's steps in a plan; the result is added to x."""
        value = self.packed("value")
        with p.products():
            hidden = p.product(self.packed("key"), z_k, "squared_relu")
            gate = p.product(self.packed("receptance"), z_r, "sigmoid")
        with p.rows():
            nonzero = p.nonzero(hidden, value)
        with p.products():
            p.product(value, hidden, factor=gate, add_to=x, nonzero=nonzero)


@dataclass
class Shared:
    """What the layers of one forward pass hand on.

    Attributes:
        tokens: (B, T) ids being read.
        x0: (B, T, C), their normed embedding, where the residual stream begins.
        v_first: (B, T, C), layer 0's value, which RWKV-7 mixes into later layers.
        note: told of values worth looking at, by name; (B, T, channels).
    """

    tokens: Tensor
    x0: Tensor
    v_first: Tensor | None = None
    note: Note = ignore


@dataclass
class SharedValues:
    """What the layers of a plan hand on; see Shared."""

    x0: Value
    v_first: Value | None = None


class Block(nn.Module):
    """Time mix, then channel mix, each after a layer norm and added to the stream."""

    def __init__(
        self,
        config: ModelConfig,
        layer: int,
        att: nn.Module,
        ffn: nn.Module,
        dropout: Callable[[Tensor], Tensor] = identity,
    ) -> None:
        """Put the two halves together.

        Args:
            config: sizes.
            layer: which one; the first also norms the embedding.
            att: (xn, shift, S, shared, wkv) -> what is added, S.
            ffn: (xn, shift, shared) -> what is added.
            dropout: applied to what each half adds; for training.
        """
        super().__init__()
        C = config.n_embd
        if layer == 0:
            self.ln0 = nn.LayerNorm(C, eps=LAYER_NORM_EPS)
        self.ln1 = nn.LayerNorm(C, eps=LAYER_NORM_EPS)
        self.ln2 = nn.LayerNorm(C, eps=LAYER_NORM_EPS)
        self.att, self.ffn, self.dropout = att, ffn, dropout

    def forward(self, x: Tensor, memory: Memory, shared: Shared, wkv: Wkv) -> tuple[Tensor, Memory]:
        """Run one layer; memory is (time mix shift, wkv state, channel mix shift)."""
        time_shift, S, channel_shift = memory
        xn = self.ln1(x)
        added, S = self.att(xn, time_shift, S, shared, wkv)
        x = x + self.dropout(added)
        yn = self.ln2(x)
        x = x + self.dropout(self.ffn(yn, channel_shift, shared))
        return x, (xn[:, -1], S, yn[:, -1])

    def plan(self, p: Plan, x: Value, layer: int, shared: SharedValues) -> None:
        """Note forward's steps in a plan; x is the stream, to which both halves add."""
        with p.rows():
            xn = p.layer_norm(x, self.ln1)
        with p.rows():
            dx = p.shift(xn, layer, "time_mix")
        self.att.plan(p, x, xn, dx, layer, shared)  # type: ignore[operator]  # a time mix
        with p.rows():
            yn = p.layer_norm(x, self.ln2)
        with p.rows():
            dy = p.shift(yn, layer, "channel_mix")
        self.ffn.plan(p, x, yn, dy, shared)  # type: ignore[operator]  # a channel mix


class Network(nn.Module):
    """Token ids in, residual stream or logits out. Each generation is a subclass.

    Attributes:
        config: sizes.
        wkv_names: what the recurrence is given, in order, before the state.
        unused: names of tensors that some files hold and no equation uses.
        is_rescaled: whether this generation needs its stream halved now and then in fp16.
        rescale_every: layers between two halvings of the stream, whose weights are scaled to
            suit; 0: it is never halved.
    """

    wkv_names: ClassVar[tuple[str, ...]]
    unused: ClassVar[frozenset[str]] = frozenset()
    is_rescaled: ClassVar[bool] = False
    rescale_every = 0

    def __init__(self, config: ModelConfig, blocks: list[Block]) -> None:
        """Put blocks between an empty embedding and an empty head."""
        super().__init__()
        self.config = config
        self.emb: Lookup | QuantizedLookup = Lookup(config.vocab_size, config.n_embd)
        self.blocks = nn.ModuleList(blocks)
        self.ln_out = nn.LayerNorm(config.n_embd, eps=LAYER_NORM_EPS)
        self.head = Matrix(config.vocab_size, config.n_embd)

    @staticmethod
    def read_config(generation: str, shapes: Shapes) -> ModelConfig:
        """Read the sizes from a checkpoint's tensors (official name -> shape).

        Raises:
            CheckpointError: a tensor is missing or sizes contradict each other.
        """
        raise NotImplementedError

    @classmethod
    def empty(cls, config: ModelConfig, shapes: Shapes) -> Self:
        """Make a network without weights, whose parameters have a checkpoint's names.

        Raises:
            CheckpointError: the shapes leave a rank open.
        """
        raise NotImplementedError

    @staticmethod
    def select_operator(config: ModelConfig, devices: Sequence[torch.device] = (CPU,)) -> Operator:
        """Choose who runs the recurrence where tensors lie on these devices, and why."""
        raise NotImplementedError

    @property
    def layers(self) -> list[Block]:
        """The blocks, in order."""
        return list(self.blocks)  # type: ignore[arg-type]  # made from blocks alone

    def forward(
        self, tokens: Tensor, state: State, wkv: Wkv, note: Note = ignore
    ) -> tuple[Tensor, State]:
        """Read tokens (B, T), T >= 1, after the given state.

        Args:
            tokens: ids.
            state: memory before them.
            wkv: the recurrence.
            note: told of values worth looking at, and of the "stream" after each layer.

        Returns:
            The normed stream (B, T, C) that `head` turns into logits, and the new state.
        """
        home, memories = state.wkv.device, []
        layers = self.layers
        x = layers[0].ln0(self.emb(tokens, layers[0].ln1.weight.device))
        shared = Shared(tokens, x, note=note)
        for layer, block in enumerate(layers):
            place = block.ln1.weight.device
            memory = (
                state.time_mix_shift[layer].to(place),
                state.wkv[layer].to(place),
                state.channel_mix_shift[layer].to(place),
            )
            x, after = block(x.to(place), memory, shared, wkv)
            note("stream", x)
            if self.rescale_every and (layer + 1) % self.rescale_every == 0:
                x = x / 2
            memories.append([part.to(home) for part in after])
        x = self.ln_out(x.to(self.ln_out.weight.device))
        return x, State(*(torch.stack(part) for part in zip(*memories, strict=True)))

    def logits(self, x: Tensor) -> Tensor:
        """Turn the normed stream (..., C) into logits (..., V), float32."""
        logits: Tensor = self.head(x)
        return logits

    def plan(self) -> Plan:
        """Note forward's steps, and those of logits, in a plan; matrices must be packed."""
        # RWKV-4 has no heads; its channels may be cut anywhere.
        head_size = 64 if self.config.has_exponents else self.config.head_size
        p = Plan(self.config.n_embd, head_size, self.ln_out.weight.device)
        ln0: nn.LayerNorm = self.blocks[0].ln0  # type: ignore[assignment]
        with p.rows():
            embedded = self.emb.plan(p)
            # Layers add to x, so the value that stays is made a second time.
            x, x0 = p.layer_norm(embedded, ln0), p.layer_norm(embedded, ln0)
        shared = SharedValues(x0)
        for layer, block in enumerate(self.blocks):
            block.plan(p, x, layer, shared)  # type: ignore[operator]  # a Block
        with p.rows():
            xn = p.layer_norm(x, self.ln_out)
        with p.products():
            p.logits(self.head.weight, xn)  # type: ignore[arg-type]  # Packed
        return p
