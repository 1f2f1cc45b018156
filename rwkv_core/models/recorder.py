"""What a reading of a text leaves behind for the inspector, collected piece by piece."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from kernels.operators import Operator
from rwkv_core.config import ModelConfig
from rwkv_core.models.blocks import Network
from rwkv_core.recording import (
    Array,
    LayerInputs,
    Lens,
    Recording,
    Spectra,
    Wanted,
    layers_kept,
)
from rwkv_core.state import State

# Multiplications that the lens may cost; it covers fewer tokens of larger models.
LENS_PRODUCTS = 20_000_000_000
LENS_TOKENS = 16

# From what a generation notes, (B, T, channels), to one number a token.
_ACTIVITY: dict[str, Callable[[Tensor], Tensor]] = {
    "receptance": lambda r: r.square().mean(-1).sqrt(),
    "opening": lambda r: r.mean(-1),
    "gate": lambda g: g.abs().mean(-1),
    "rate": lambda a: a.mean(-1),
    "active": lambda hidden: (hidden > 0).float().mean(-1),
    "channel gate": lambda gate: gate.mean(-1),
}


class Recorder:
    """Measures one text while a model reads it in pieces; `finish` gives the recording.

    A model calls `wkv` once per layer and piece, in order, and `note` in between.

    Args:
        config: sizes of the model.
        operator: runs the recurrence.
        names: of the recurrence's arguments, in order, without the state.
        tokens: the whole text.
        wanted: what to keep.
    """

    def __init__(
        self,
        config: ModelConfig,
        operator: Operator,
        names: Sequence[str],
        tokens: Sequence[int],
        wanted: Wanted,
    ) -> None:
        self._config, self._operator, self._names = config, operator, names
        self._tokens, self._wanted = np.array(tokens, dtype=np.int64), wanted
        total = len(tokens)
        self._kept = layers_kept(config, wanted, total, len(set(names) - {"u"}))
        self._window = total - min(wanted.inputs_tokens, total)
        self._lens_from = total - min(_lens_tokens(config, wanted), total)
        count = 0 if config.has_exponents else min(wanted.spectra, total)
        self._moments = np.unique(np.linspace(total - 1, 0, count).round().astype(np.int64))
        self._done = 0
        self._layer = -1
        self._squares: list[list[Tensor]] = [[] for _ in range(config.n_layer)]
        self._decays: list[Tensor] = [torch.zeros(1, dtype=torch.float32)] * config.n_layer
        self._inputs: dict[int, dict[str, list[Tensor]]] = {
            layer: defaultdict(list) for layer in self._kept
        }
        self._before: dict[int, Array] = {}
        self._spectra: list[list[Array]] = [[] for _ in range(config.n_layer)]
        self._activity: dict[str, list[list[Tensor]]] = {}
        self._streams: list[Tensor] = []
        self._lens: list[list[Tensor]] = []
        self._surprise: list[Array] = []

    def wkv(self, *arguments: Tensor) -> tuple[Tensor, Tensor]:
        """Run the next layer's recurrence over a piece of the text, measured."""
        self._layer += 1
        *inputs, S = arguments
        k = inputs[self._names.index("k")]
        self._note_inputs(dict(zip(self._names, inputs, strict=True)), k.shape[1])
        outputs = []
        for start, end in self._stretches(k.shape[1]):
            if self._done + start == self._window and self._layer in self._inputs:
                self._before[self._layer] = S[0].cpu().numpy().copy()
            part = [x[:, start:end] if x.dim() == k.dim() else x for x in inputs]
            y, S, squares = self._operator.run_measured(*part, S)
            outputs.append(y)
            self._squares[self._layer].append(squares[0].cpu())
            if self._done + end - 1 in self._moments:
                values = np.linalg.svd(S[0].cpu().numpy(), compute_uv=False)
                self._spectra[self._layer].append(values)
        return torch.cat(outputs, 1), S

    def note(self, name: str, value: Tensor) -> None:
        """Take what a part of the current layer computed, (1, T, channels)."""
        if name == "stream":
            keep = max(0, self._lens_from - self._done)
            if keep < value.shape[1]:
                self._streams.append(value[0, keep:])
        elif self._wanted.activity:
            layers = self._activity.setdefault(name, [[] for _ in range(self._config.n_layer)])
            layers[self._layer].append(_ACTIVITY[name](value[0].float()).cpu())

    def end_piece(self, network: Network, logits: Tensor, before: Tensor | None) -> None:
        """Close a piece.

        Args:
            network: whose head the lens uses.
            logits: (T, V) after each of its tokens, on the CPU.
            before: (1, V) after the text before it; None where there was none.
        """
        T = len(logits)
        ids = torch.from_numpy(self._tokens[self._done : self._done + T])
        said = logits[:-1] if before is None else torch.cat([before.cpu(), logits[:-1]])
        told = said.log_softmax(-1).gather(1, ids[T - len(said) :, None]).squeeze(1)
        bits = np.full(T, np.nan, dtype=np.float32)
        bits[T - len(said) :] = -told.numpy() / np.log(2)
        self._surprise.append(bits)
        if self._streams:
            self._lens.append([self._asked(network, x) for x in self._streams])
        self._streams, self._layer, self._done = [], -1, self._done + T

    def finish(self, logits: Tensor, state: State) -> Recording:
        """Sum up; the whole text has been read.

        Args:
            logits: (V,) after the last token.
            state: after the last token.
        """
        squares = torch.stack([torch.cat(parts) for parts in self._squares])  # (L, T, H, 5)
        state_norm, change, fade, erase, write = squares.sum(2).sqrt().movedim(-1, 0).numpy()
        return Recording(
            tokens=self._tokens,
            state_norm=state_norm,
            change_norm=change,
            fade_norm=fade,
            erase_norm=erase,
            write_norm=write,
            head_norm=squares[:, -1, :, 0].sqrt().numpy(),
            log_decay=(torch.stack(self._decays) / len(self._tokens)).numpy(),
            surprise_bits=np.concatenate(self._surprise),
            logits=logits.cpu().numpy(),
            state=state.to("cpu"),
            layers={layer: self._layer_inputs(layer) for layer in self._kept},
            spectra=self._joined_spectra(),
            lens=self._joined_lens(),
            activity={
                name: torch.stack([torch.cat(parts) for parts in layers]).numpy()
                for name, layers in self._activity.items()
            },
        )

    def _stretches(self, length: int) -> list[tuple[int, int]]:
        """Cut a piece where the state is looked at."""
        looks = {int(moment) + 1 for moment in self._moments} | {self._window}
        inside = {look - self._done for look in looks if 0 < look - self._done < length}
        cuts = [0, *sorted(inside), length]
        return list(pairwise(cuts))

    def _note_inputs(self, inputs: dict[str, Tensor], length: int) -> None:
        # (T, H, K), (H, K) where constant; RWKV-4's (C,) is one head as wide as the model.
        decay = inputs["log_decay"]
        summed = decay[0].sum(0) if decay.dim() == 4 else decay * length
        summed = summed.cpu()[None] if summed.dim() == 1 else summed.cpu()
        self._decays[self._layer] = self._decays[self._layer] + summed
        for name, noted in (("r", "receptance"), ("a", "rate")):
            if name in inputs:
                self.note(noted, inputs[name].flatten(2))
        if self._layer not in self._inputs:
            return
        skip = max(0, self._window - self._done)
        for name, value in inputs.items():
            parts = self._inputs[self._layer][name]
            is_constant = value.dim() < inputs["k"].dim()
            if is_constant and not parts:
                parts.append(value.cpu())
            elif not is_constant and skip < length:
                parts.append(value[0, skip:].cpu().clone())

    def _asked(self, network: Network, x: Tensor) -> Tensor:
        """Ask a layer's stream (n, C) what comes next: likeliest id and both probabilities."""
        home = network.ln_out.weight.device
        chances = network.logits(network.ln_out(x.to(home))).softmax(-1).cpu()
        probability, top = chances.max(-1)
        first = max(self._lens_from, self._done)
        after = self._tokens[first + 1 : first + 1 + len(x)]
        told = torch.full((len(x),), torch.nan, dtype=torch.float32)
        told[: len(after)] = chances[: len(after)].gather(1, torch.from_numpy(after)[:, None])[:, 0]
        return torch.stack([top.double(), probability.double(), told.double()])

    def _layer_inputs(self, layer: int) -> LayerInputs:
        joined = {
            name: (parts[0] if len(parts) == 1 else torch.cat(parts)).float().numpy()
            for name, parts in self._inputs[layer].items()
        }
        return LayerInputs(first=self._window, state=self._before[layer], **joined)

    def _joined_spectra(self) -> Spectra | None:
        if not len(self._moments):
            return None
        return Spectra(self._moments, np.stack([np.stack(part) for part in self._spectra], axis=1))

    def _joined_lens(self) -> Lens | None:
        if not self._lens:
            return None
        layers = [torch.cat(pieces, dim=-1) for pieces in zip(*self._lens, strict=True)]
        top, probability, told = torch.stack(layers, dim=1)
        return Lens(
            self._lens_from,
            top.long().numpy(),
            probability.float().numpy(),
            told.float().numpy(),
        )


def _lens_tokens(config: ModelConfig, wanted: Wanted) -> int:
    each = config.n_layer * config.n_embd * config.vocab_size
    return min(wanted.lens_tokens, max(LENS_TOKENS, LENS_PRODUCTS // each))
