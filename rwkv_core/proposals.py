"""Which strategy suits some memory best, and why it and no better one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kernels.sentences import Sentence
from rwkv_core.config import Choice
from rwkv_core.limits import EngineLimits
from rwkv_core.memory import MemoryPlan, Verdict, gigabytes, judge, plan_memory
from rwkv_core.models.outline import Inventory
from rwkv_core.strategy import QUANTIZED_BELOW, quantized_reason

_CPU = {
    "cpu fp32": "it keeps the weights as they are in the file and rounds nothing more",
    "cpu int8": "a weight takes 8 bits, which changes what the model says very little",
    "cpu int4": "a weight takes 4 bits, the smallest form there is, at some cost in quality",
}
_GPU = {
    "cuda fp16": "all layers lie on the graphics card and keep the weights' 16 bits",
    "cuda int8": "all layers lie on the graphics card, at 8 bits a weight, which changes little",
    "cuda int4": "all layers lie on the graphics card, at 4 bits a weight, at some cost in quality",
}
# Where not all layers fit on the cards: the form there, and of what the processor runs.
_SPLITS = (("fp16", "int8"), ("int8", "int8"), ("int4", "int4"))


@dataclass(frozen=True)
class Proposal:
    """The best strategy for some memory: its text and why, what it needs, and whether it fits."""

    strategy: Choice
    plan: MemoryPlan
    verdict: Verdict

    @property
    def choice(self) -> Choice:
        """The strategy as what a model is loaded with, its reason as that of the choice."""
        text, reason = self.strategy
        form = "{strategy} suits this machine best: {reason}"
        return Choice(text, Sentence(form, strategy=text, reason=reason))


class _Tried(NamedTuple):
    text: str
    plan: MemoryPlan
    verdict: Verdict


@dataclass(frozen=True)
class _Asked:
    """What is proposed for."""

    inventory: Inventory
    available: Mapping[str, int]
    sessions: int
    limits: EngineLimits | None
    has_compiler: bool

    def tried(self, text: str) -> _Tried:
        plan = plan_memory(
            self.inventory,
            text,
            sessions=self.sessions,
            limits=self.limits,
            has_compiler=self.has_compiler,
        )
        return _Tried(text, plan, judge(plan, self.available))


def propose(
    inventory: Inventory,
    available: Mapping[str, int],
    *,
    sessions: int = 1,
    limits: EngineLimits | None = None,
    has_compiler: bool = True,
) -> Proposal:
    """Propose the most exact strategy that fits, and say why it and no better one.

    On a processor a quantised file's weights are not made four times as long again: int8 is the
    most exact one for them. A graphics card keeps them in fp16, whose 11 bits are nearer still.
    Where no form of the whole model fits on a graphics card, the layers are split between the
    cards and the processor.

    Args:
        inventory: of the model.
        available: bytes by device.
        sessions: conversations at once.
        limits: of the engine.
        has_compiler: see plan_memory.

    Returns:
        One that fits; else one that is tight; else the smallest, with the verdict "no".
    """
    asked = _Asked(inventory, available, sessions, limits, has_compiler)
    cards = sorted(device for device in available if device.startswith("cuda"))
    candidates = _GPU if cards else _on_cpu(inventory.bits)
    tried = [asked.tried(text) for text in candidates]
    best = _first_that_fits(tried)
    if best is not None:
        return Proposal(Choice(best.text, _why(best, tried, candidates)), best.plan, best.verdict)
    split = _first_that_fits([asked.tried(text) for text in _splits(asked, cards)])
    if split is not None:
        return Proposal(Choice(split.text, _why_split(asked, split, tried)), *split[1:])
    least = tried[-1]
    return Proposal(Choice(least.text, _why(least, tried, candidates)), least.plan, least.verdict)


def _on_cpu(bits: float) -> dict[str, str]:
    """Say which strategies suit a file whose numbers take so many bits, most exact first."""
    if bits >= QUANTIZED_BELOW:
        return _CPU
    return {"cpu int8": quantized_reason(bits), "cpu int4": _CPU["cpu int4"]}


def _first_that_fits(tried: Sequence[_Tried]) -> _Tried | None:
    return next(
        (one for wanted in ("fits", "tight") for one in tried if one.verdict.answer == wanted),
        None,
    )


def _splits(asked: _Asked, cards: Sequence[str]) -> Iterator[str]:
    """Strategies that put as many layers as fit on each card, and the rest on the processor."""
    names = ["cuda"] if len(cards) == 1 else list(cards)
    for here, there in _SPLITS:
        stages: list[str] = []
        left = asked.inventory.config.n_layer
        for name in names:
            start = "".join(f"{stage} -> " for stage in stages)
            count = _most(asked, f"{start}{name} {here} *{{}} -> cpu {there}", name, left)
            if count:
                stages.append(f"{name} {here} *{count}")
                left -= count
        if stages:
            yield " -> ".join([*stages, f"cpu {there}"])


def _most(asked: _Asked, text: str, card: str, left: int) -> int:
    """How many layers fit on a card, with its share left free."""
    low, high = 0, left
    while low < high:
        middle = (low + high + 1) // 2
        plan = asked.tried(text.format(middle)).plan
        alone = MemoryPlan(
            plan.config, plan.placement, plan.sessions, {card: plan.needs[card]}, plan.is_packed
        )
        if judge(alone, asked.available).answer == "fits":
            low = middle
        else:
            high = middle - 1
    return low


def _why_split(asked: _Asked, best: _Tried, tried: Sequence[_Tried]) -> str:
    on_cards = sum(stage.count or 0 for stage in best.plan.placement.stages)
    reason = Sentence(
        "{count} of {layers} layers fit on the graphics card, the processor runs the others, "
        "which is slower; too large for {room}: {others}",
        count=on_cards,
        layers=asked.inventory.config.n_layer,
        room=gigabytes(tried[-1].verdict.available),
        others=_sizes(tried),
    )
    # The same form, with the rest copied to the card whenever it is used.
    head, _, _ = best.text.partition(" -> ")
    streamed = asked.tried(f"{head}+")
    if len(best.plan.placement.stages) > 2 or streamed.verdict.answer == "no":
        return reason
    return Sentence(
        "{reason}; {strategy} copies the others to the card for every token instead: quicker on "
        "long texts, slower at writing",
        reason=reason,
        strategy=streamed.text,
    )


def _why(best: _Tried, tried: Sequence[_Tried], reasons: Mapping[str, str]) -> str:
    verdict = best.verdict
    if verdict.answer == "no":
        return Sentence(
            "even {strategy} needs {needed}, and there are {room}; choose a smaller model",
            strategy=best.text,
            needed=gigabytes(verdict.needed),
            room=gigabytes(verdict.available),
        )
    larger = tried[: list(tried).index(best)]
    if not larger:
        return reasons[best.text]
    return Sentence(
        "{reason}; too large for {room}: {others}",
        reason=reasons[best.text],
        room=gigabytes(verdict.available),
        others=_sizes(larger),
    )


def _sizes(tried: Sequence[_Tried]) -> str:
    return ", ".join(f"{one.text} {gigabytes(one.verdict.needed)}" for one in tried)
