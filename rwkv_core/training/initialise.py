"""The official initialisation of RWKV-7, and the sizes of its low-rank parts.

Source: RWKV-LM, RWKV-v7/train_temp/src/model.py. l is the layer, n the channel.
"""

import math

import torch
from torch import Tensor, nn

from rwkv_core.config import ModelConfig
from rwkv_core.models.rwkv7 import RWKV7, TimeMix


def default_ranks(n_embd: int) -> dict[str, int]:
    """Ranks of the low-rank parts as the official trainer sets them, by width."""
    factors = {"w": 2.5, "a": 2.5, "v": 1.7, "g": 5.0}
    return {
        kind: max(32, round(factor * math.sqrt(n_embd) / 32) * 32)
        for kind, factor in factors.items()
    }


@torch.no_grad()
def initialise(network: RWKV7) -> None:
    """Fill the parameters of a new network in place, from torch's global generator."""
    config = network.config
    V, C = config.vocab_size, config.n_embd
    nn.init.uniform_(network.emb.get_parameter("weight"), -1e-4, 1e-4)
    nn.init.orthogonal_(network.head.weight, gain=0.5 * math.sqrt(V / C) if V > C else 0.5)
    for norm in network.modules():
        if isinstance(norm, nn.LayerNorm | nn.GroupNorm):
            norm.reset_parameters()
    channel = torch.arange(C) / C
    for layer, block in enumerate(network.blocks):
        depth_left = 1 - layer / config.n_layer
        _initialise_time_mix(block.att, config, layer)  # type: ignore[arg-type]  # a TimeMix
        ffn = block.ffn
        ffn.x_k.copy_((1 - channel ** (depth_left**4)).view(1, 1, C))  # type: ignore[union-attr,operator]
        nn.init.orthogonal_(ffn.key.weight)  # type: ignore[union-attr,arg-type]
        nn.init.zeros_(ffn.value.weight)  # type: ignore[union-attr,arg-type]


def _initialise_time_mix(att: TimeMix, config: ModelConfig, layer: int) -> None:
    C, N, L = config.n_embd, config.head_size, config.n_layer
    depth, depth_left = layer / max(1, L - 1), 1 - layer / L
    n = torch.arange(C)
    for names, power in (("rg", 0.2), ("wa", 0.9), ("kv", 0.7)):
        for name in names:
            getattr(att, f"x_{name}").copy_((1 - (n / C) ** (power * depth_left)).view(1, 1, C))
    line = n / (C - 1) - 0.5
    within_head = (n % N - (N - 1) / 2) / ((N - 1) / 2)
    zigzag = within_head * within_head.abs()
    att.w0.copy_(-6 + 6 * (n / (C - 1)) ** (1 + depth**0.3) + 0.5 + 2.5 * zigzag)
    att.a0.copy_(-0.19 + 0.3 * zigzag + 0.4 * line)
    att.k_k.copy_(0.71 - 0.1 * line)
    att.k_a.fill_(1.02)
    att.r_k.fill_(-0.04)
    if layer > 0:
        att.v0.copy_(0.73 - 0.4 * line)
    for kind in ("w", "a", "g") if layer == 0 else ("w", "a", "v", "g"):
        getattr(att, f"{kind}1").zero_()
        _orthogonal(getattr(att, f"{kind}2"), 0.1)
    nn.init.orthogonal_(att.receptance.weight)
    nn.init.orthogonal_(att.key.weight, gain=0.1)
    nn.init.orthogonal_(att.value.weight)
    nn.init.zeros_(att.output.weight)
    att.ln_x.weight.fill_(((1 + layer) / L) ** 0.7)


def _orthogonal(weight: Tensor, gain: float) -> None:
    rows, columns = weight.shape
    nn.init.orthogonal_(weight, gain=gain * (math.sqrt(rows / columns) if rows > columns else 1))
