"""One token walked through one layer, with the numbers it meets there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rwkv_core.errors import InputError, SettingsError
from rwkv_core.inspection.arrays import Floats
from rwkv_core.inspection.lab import Lab, Progress, Steps, Text, log2_probabilities
from rwkv_core.models.blocks import Block

# Numbers of a vector that are shown; heads of released models have 64.
CELLS = 64
TOP_TOKENS = 5


@dataclass(frozen=True, eq=False)
class Stage:
    """One step on the way.

    Attributes:
        name: shift, receptance, decay, rate, write, read, gate, time_mix, channel_mix or next.
        numbers: what can be said of it, by name; units in the name where there are any.
        cells: the first numbers of vectors of one head, by the letter of the field.
    """

    name: str
    numbers: Mapping[str, float]
    cells: Mapping[str, Floats]


@dataclass(frozen=True, eq=False)
class Walk:
    """A token's way through one layer.

    Attributes:
        token: its id.
        layer: counted from 0.
        head: the one whose cells are shown: it holds most. 0 where there are none.
        stages: in the order in which they happen; only those that the generation has.
        likeliest: ids of the likeliest next tokens after the whole model, best first.
        chances: their probabilities.
    """

    token: int
    layer: int
    head: int
    stages: tuple[Stage, ...]
    likeliest: tuple[int, ...]
    chances: tuple[float, ...]


def walk_token(lab: Lab, text: Text, layer: int) -> Steps[Walk]:
    """Read a text up to its last token, and walk that one through a layer.

    Args:
        lab: what to read with.
        text: at least two tokens, or one after a root.
        layer: counted from 0.

    Raises:
        SettingsError: there is no such layer.
        InputError: there is no token before the last one.
    """
    model = lab.model
    if not 0 <= layer < model.config.n_layer:
        raise SettingsError(
            "there is no layer {number}; choose 1 to {count}",
            number=layer + 1,
            count=model.config.n_layer,
        )
    before = text._replace(ids=text.ids[:-1])
    if not text.ids or not (before.ids or before.root):
        raise InputError("a token needs one before it; give a text of at least two")
    snapshot = yield from lab.read(before)
    network, token = model.network, text.ids[-1]
    seen: dict[str, Any] = {"layer": 0, "token": token}
    run = network.select_operator(model.config).run

    def wkv(*arguments: Tensor) -> tuple[Tensor, Tensor]:
        y, after = run(*arguments)
        if seen["layer"] == layer:
            named = dict(zip((*network.wkv_names, "state"), arguments, strict=True))
            seen["wkv"] = {**named, "y": y, "after": after}
        return y, after

    def note(name: str, value: Tensor) -> None:
        if seen["layer"] == layer:
            seen[name] = value
        if name == "stream":
            seen["layer"] += 1

    with torch.no_grad(), _watched(network.layers[layer], seen):
        x, _ = network(torch.tensor([[token]]), snapshot.state, wkv, note)
        logits = network.logits(x[0]).cpu().numpy()[0]
    yield Progress(len(text.ids))
    chances = np.exp2(log2_probabilities(logits))
    best = np.argsort(-chances, kind="stable")[:TOP_TOKENS]
    head = _fullest_head(seen["wkv"]["state"], has_heads=not model.config.has_exponents)
    return Walk(
        token, layer, head, tuple(_stages(seen, head)),
        tuple(best.tolist()), tuple(chances[best].tolist()),
    )  # fmt: skip


@contextmanager
def _watched(block: Block, seen: dict[str, Any]) -> Iterator[None]:
    """Note what goes into and comes out of the parts of a block."""

    def into(name: str) -> Callable[..., None]:
        return lambda _module, inputs: seen.__setitem__(name, inputs)

    def out_of(name: str) -> Callable[..., None]:
        return lambda _module, _inputs, output: seen.__setitem__(name, output)

    att, ffn = block.att, block.ffn
    hooks = [
        block.register_forward_pre_hook(into("block")),
        att.register_forward_pre_hook(into("att")),
        att.register_forward_hook(lambda _m, _i, output: seen.__setitem__("att_out", output[0])),
        ffn.register_forward_pre_hook(into("ffn")),
        ffn.register_forward_hook(out_of("ffn_out")),
    ]
    for name in ("receptance", "key", "value"):
        hooks.append(att.get_submodule(name).register_forward_pre_hook(into(f"z_{name}")))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _stages(seen: dict[str, Any], head: int) -> Iterator[Stage]:
    parts = {name: _flat(value) for name, value in seen["wkv"].items()}
    xn, before = _flat(seen["att"][0]), _flat(seen["att"][1])
    mixed = {name: _flat(seen[f"z_{name}"][0]) for name in ("receptance", "key", "value")}
    yield Stage(
        "shift",
        {name: _share(z, xn, before) for name, z in mixed.items()},
        {"now": xn[:CELLS], "before": before[:CELLS]},
    )
    shape = seen["wkv"]["k"].shape  # (1, 1, H, K), for RWKV-4 (1, 1, C)
    yield from _asked(parts, shape, head, seen)
    log_decay = np.broadcast_to(parts["log_decay"].ravel(), (int(np.prod(shape)),))
    decay = np.exp(log_decay.astype(np.float64))
    with np.errstate(divide="ignore"):
        half_life = np.log(2) / -log_decay.astype(np.float64)
    yield Stage(
        "decay",
        {
            "median": float(np.median(decay)), "least": float(decay.min()),
            "most": float(decay.max()), "half_life_tokens": float(np.median(half_life)),
        },
        {"w": _cells(decay, shape, head)},
    )  # fmt: skip
    if len(shape) == 3:
        yield from _mean_stages(parts)
    else:
        yield from _matrix_stages(parts, shape, head, seen)
    stream = _flat(seen["block"][0])
    for name, noted in (("time_mix", "att_out"), ("channel_mix", "ffn_out")):
        added = _flat(seen[noted])
        numbers = {"added": _norm(added) / _norm(stream)}
        if name == "channel_mix" and "active" in seen:
            numbers["active"] = float((_flat(seen["active"]) > 0).mean())
        if name == "channel_mix" and "channel gate" in seen:
            numbers["open"] = float(_flat(seen["channel gate"]).mean())
        yield Stage(name, numbers, {"x": added[:CELLS]})


def _asked(
    parts: Mapping[str, Floats], shape: torch.Size, head: int, seen: dict[str, Any]
) -> Iterator[Stage]:
    """What the token asks for, offers under, and brings; the gate where there is one."""
    named = [("r", parts.get("r")), ("k", parts["k"]), ("v", parts["v"])]
    vectors = {name: value for name, value in named if value is not None}
    cells = {name: _cells(value, shape, head) for name, value in vectors.items()}
    numbers = {name: _norm(value) for name, value in vectors.items()}
    if "opening" in seen:
        cells = {"r": _flat(seen["opening"])[:CELLS], **cells}
        numbers["open"] = float(_flat(seen["opening"]).mean())
    yield Stage("receptance", numbers, cells)
    if "gate" in seen:
        gate = _flat(seen["gate"])
        yield Stage("gate", {"mean": float(np.abs(gate).mean())}, {"g": gate[:CELLS]})


def _matrix_stages(
    parts: Mapping[str, Floats], shape: torch.Size, head: int, seen: dict[str, Any]
) -> Iterator[Stage]:
    H, K = shape[2], shape[3]
    S = seen["wkv"]["state"][0].double().cpu().numpy()  # (H, V, K)
    after = seen["wkv"]["after"][0].double().cpu().numpy()
    r, k, v = (parts[name].reshape(H, K).astype(np.float64) for name in "rkv")
    decay = np.exp(np.broadcast_to(parts["log_decay"].reshape(-1, K), (H, K)).astype(np.float64))
    size = max(_norm(S), 1e-30)
    numbers = {
        "before": _norm(S),
        "faded": _norm(S * (1 - decay[:, None])) / size,
        "written": _norm(np.einsum("hv,hk->hvk", v, k)) / size,
        "after": _norm(after),
        "changed": _norm(after - S) / size,
    }
    if "kk" in parts:
        kk, a = (parts[name].reshape(H, K).astype(np.float64) for name in ("kk", "a"))
        erased = np.einsum("hvk,hk->hv", S, kk)[:, :, None] * (kk * a)[:, None]
        yield Stage(
            "rate", {"mean": float(a.mean()), "least": float(a.min()), "most": float(a.max())},
            {"a": a[head, :CELLS], "kk": kk[head, :CELLS]},
        )  # fmt: skip
        numbers["erased"] = _norm(erased) / size
    yield Stage("write", numbers, {"k": k[head, :CELLS], "v": v[head, :CELLS]})
    from_memory = np.einsum("hvk,hk->hv", after if "kk" in parts else S, r)
    numbers = {"memory": _norm(from_memory)}
    if "u" in parts:
        u = np.broadcast_to(parts["u"].reshape(-1, K), (H, K))
        numbers["own"] = _norm((r * u * k).sum(1)[:, None] * v)
    yield Stage("read", numbers, {"y": from_memory[head, :CELLS]})


def _mean_stages(parts: Mapping[str, Floats]) -> Iterator[Stage]:
    """RWKV-4: what share of the remembered mean the new token gets, and of what is read."""
    numerator, denominator, exponent = parts["state"].reshape(3, -1).astype(np.float64)
    k, v, u, log_decay = (parts[name].astype(np.float64) for name in ("k", "v", "u", "log_decay"))
    with np.errstate(over="ignore"):
        largest = np.maximum(exponent + log_decay, k)
        kept_log = np.log(np.maximum(denominator, 1e-300)) + exponent
        total = np.logaddexp(kept_log + log_decay, k)
        own = np.exp(u + k - np.logaddexp(kept_log, u + k))
    new = np.exp(k - total)
    y = parts["y"]
    yield Stage(
        "write",
        {"new_share": float(np.median(new)), "largest_exponent": float(np.max(largest)),
         "before": _norm(numerator / np.maximum(denominator, 1e-300))},
        {"k": k[:CELLS], "v": v[:CELLS], "share": new[:CELLS]},
    )  # fmt: skip
    yield Stage("read", {"own_share": float(np.median(own)), "memory": _norm(y)}, {"y": y[:CELLS]})


def _share(z: Floats, now: Floats, before: Floats) -> float:
    """Find what share of a mixed input comes from the token before, the best fit over channels."""
    apart = before - now
    size = float((apart * apart).sum())
    return float(((z - now) * apart).sum()) / size if size > 0 else 0.0


def _fullest_head(state: Tensor, *, has_heads: bool) -> int:
    if not has_heads:
        return 0
    return int(state[0].double().square().sum((-2, -1)).argmax())


def _cells(vector: Floats, shape: torch.Size, head: int) -> Floats:
    """Take one head's part of a vector over all of them."""
    if len(shape) == 3:
        return vector[:CELLS]
    part: Floats = vector.reshape(shape[2], shape[3])[head, :CELLS]
    return part


def _flat(value: Tensor) -> Floats:
    array: Floats = value.detach().float().cpu().numpy().ravel()
    return array


def _norm(value: Floats) -> float:
    return float(np.sqrt(np.square(value.astype(np.float64)).sum()))
