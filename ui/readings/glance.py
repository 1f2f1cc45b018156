"""What the first look at a recording shows, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rwkv_core.inspection import (
    PAGE_TOKENS,
    Floats,
    filling_tokens,
    half_life_tokens,
    head_shares,
    kv_cache_bytes,
    layer_norms,
    rank_correlation,
    relative_change,
    relative_parts,
    settled_change,
)
from rwkv_core.recording import Recording
from ui.components import bytes_text, counted
from ui.readings.wording import Words, choices, percent, tokens_text, word_at

# Below this many bits a token was as good as certain.
CERTAIN_BITS = 1.0


def surprise_words(recording: Recording, texts: Sequence[str]) -> Words:
    """Say how predictable the text was and what came least expected."""
    bits = recording.surprise_bits
    known = bits[np.isfinite(bits)]
    if not known.size:
        return Words(
            "One token alone cannot surprise: there is nothing before it to expect it from."
        )
    mean, top = float(known.mean()), int(np.nanargmax(bits))
    certain = int((known < CERTAIN_BITS).sum())
    return Words(
        "The taller a bar, the less the model saw that word coming.",
        (
            f"On average {mean:.1f} bits a token, like guessing among {choices(mean)}.",
            f"The most surprising is {word_at(texts, top)} with {bits[top]:.1f} bits "
            f"(1 in {choices(float(bits[top]))}).",
            f"{certain:,} of {counted(len(known), 'token')} came as good as certain (under 1 bit).",
        ),
        "Strange would be a tall bar at a word that was repeated many times before.",
    )


def change_words(recording: Recording, texts: Sequence[str], *, is_mean: bool) -> Words:
    """Say which word rewrote most, how, and whether surprise and change go together.

    Args:
        recording: T tokens.
        texts: their texts, whitespace included.
        is_mean: whether the memory is RWKV-4's weighted mean, in which fading alone moves
            nothing: what a new word brings, the old mean gives up.
    """
    change = settled_change(recording)
    if not np.isfinite(change).any():
        return Words("One token alone has no memory before it to change.")
    top, filling = int(np.nanargmax(change)), filling_tokens(recording)
    # The first token has no bar, so one filling token alone has no pale bar to explain.
    pale = (
        f" Pale bars are the first {filling} tokens, which fill an empty memory and are not "
        "compared."
        if filling > 1
        else ""
    )
    caption = (
        "Each bar is what one word brought, and what the old memory gave up for it."
        if is_mean
        else "Each bar is what one word wrote into the memory, and what faded or was erased "
        "meanwhile."
    )
    parts = relative_parts(recording)
    sizes = {name: float(np.nanmean(values[filling:])) for name, values in parts.items()}
    verbs = {"write": "brings" if is_mean else "writes", "fade": "gives up" if is_mean else "lets fade", "erase": "erases"}  # fmt: skip
    shares = [f"{verb} {percent(sizes[name])}" for name, verb in verbs.items() if sizes[name] > 0]
    return Words(
        f"{caption}{pale}",
        (
            f"Most was changed by {word_at(texts, top)}: {percent(float(change[top]))} of the "
            f"memory, as a mean over the {counted(len(recording.state_norm), 'layer')}.",
            f"A word of this text {_listed(shares)} of the memory on average; these partly "
            f"cancel, so that the memory changes by {percent(float(np.nanmean(change)))}.",
            correlation_sentence(recording),
        ),
        "Strange would be one word that rewrites most of the memory late in a text.",
    )


def correlation_sentence(recording: Recording) -> str:
    """Say whether surprising tokens change the memory more."""
    r, n = rank_correlation(recording.surprise_bits, settled_change(recording))
    if np.isnan(r):
        return f"Too few tokens ({n}) to say whether surprising words change it more."
    # Below two standard errors of unrelated series there is nothing to tell.
    if abs(r) < max(0.1, 2 / np.sqrt(n)):
        return f"Surprise and change hardly go together here (rank correlation {r:.2f}, n = {n:,})."
    strength = "clearly" if abs(r) >= 0.5 else "somewhat" if abs(r) >= 0.25 else "slightly"
    direction = "more" if r > 0 else "less"
    return (
        f"Surprising words change it {strength} {direction} (rank correlation {r:.2f}, n = {n:,})."
    )


def filling_words(recording: Recording, stride: int = 1) -> Words:
    """Say which layer filled first and last, and which tokens the columns are."""
    norms = recording.state_norm
    reached = (norms >= 0.9 * norms.max(axis=1, keepdims=True)).argmax(axis=1) + 1
    first, last = int(reached.argmin()), int(reached.argmax())
    columns = (
        "Each column is one token" if stride == 1 else f"Each column is every {stride}th token"
    )
    means = norms.mean(axis=1)
    ends = np.divide(norms[:, -1], means, out=np.ones(len(means)), where=means > 0)
    fullest = int(ends.argmax())
    told = (
        (f"All layers reach 90 % of their peak after {counted(int(reached[0]), 'token')}.",)
        if reached[first] == reached[last]
        else (
            f"Layer {first + 1} reaches 90 % of its peak first, after "
            f"{counted(int(reached[first]), 'token')}.",
            f"Layer {last + 1} does so last, after {counted(int(reached[last]), 'token')}.",
        )
    )
    return Words(
        f"{columns}; bright means that the layer holds a lot, compared with its own average.",
        (
            *told,
            f"At the end layer {fullest + 1} is fullest for its kind: "
            f"{ends[fullest]:.2f} times its average.",
        ),
        "Strange would be a layer that keeps growing to the end, or that suddenly drops.",
    )


def layers_words(norms_of_heads: Floats) -> Words:
    """Say which layer of a memory without heads holds the most."""
    norms, shares = layer_norms(norms_of_heads), head_shares(norms_of_heads)
    most, least = int(norms.argmax()), int(norms.argmin())
    facts = [
        f"Layer {most + 1} is the fullest: {percent(float(shares[most].sum()))} of all that is "
        "held (share of the squared norm)."
    ]
    if norms[least] > 0 and most != least:
        facts.append(
            f"It holds {norms[most] / norms[least]:.1f} times as much as layer {least + 1}."
        )
    return Words(
        "This model has no heads: each layer keeps one running mean. The taller, the more it "
        "holds.",
        (*facts, "Layer 1 is nearest to the words."),
        "Strange would be one layer that towers over all others.",
    )


def heads_words(norms_of_heads: Floats) -> Words:
    """Say which head holds the most and how unevenly the memory is spread."""
    shares, norms = head_shares(norms_of_heads), layer_norms(norms_of_heads)
    layer, head = np.unravel_index(int(shares.argmax()), shares.shape)
    most, least = int(norms.argmax()), int(norms.argmin())
    return Words(
        "A head is one small table of associations; bright ones hold a lot.",
        (
            f"Head {head + 1} of layer {layer + 1} is the fullest: "
            f"{percent(float(shares[layer, head]))} of all that is held (share of the squared "
            f"norm), where an even split over {counted(shares.size, 'head')} would give "
            f"{percent(1 / shares.size)}.",
            f"Layer {most + 1} holds the most (norm {norms[most]:.3g}), "
            f"layer {least + 1} the least ({norms[least]:.3g}).",
            "Layer 1 is nearest to the words.",
        ),
        "Strange would be one single cell that holds nearly everything.",
    )


def forgetting_words(
    log_decay: Floats, *, is_erasing: bool, aged: Sequence[str] | None = None
) -> Words:
    """Say how fast channels fade, and which layers keep the longest and the shortest.

    Args:
        log_decay: (L, H, K), mean over the text.
        is_erasing: whether this generation also removes what it held under a key.
        aged: the L words that are as old as each layer's median half-life; "" where the text
            is younger.
    """
    half_life = half_life_tokens(log_decay)
    medians = np.median(half_life.reshape(len(half_life), -1), axis=1)
    slow, fast = int(medians.argmax()), int(medians.argmin())
    caption = "The further right, the longer a layer's channels keep half of what they hold."
    caption += (
        " This is fading alone: the model also erases on purpose."
        if is_erasing
        else " Fading is this model's only way to forget."
    )
    facts = [
        f"Half of all channels lose half of what they hold within "
        f"{tokens_text(float(np.median(half_life)))}; "
        f"{percent(float((half_life > PAGE_TOKENS).mean()))} keep half of it for more than a page."
    ]
    if slow != fast:
        facts.append(
            f"Layer {slow + 1} keeps the longest (median {tokens_text(float(medians[slow]))}), "
            f"layer {fast + 1} the shortest ({tokens_text(float(medians[fast]))})."
        )
    if aged and aged[fast]:
        facts.append(
            f"In layer {fast + 1}, half of what was held at {aged[fast]} has faded from the "
            "typical channel by the end of the text."
        )
    return Words(
        caption,
        tuple(facts),
        "Strange would be a layer whose channels all forget at the same speed.",
    )


def size_words(state_bytes: int, n_layer: int, n_embd: int, tokens: int) -> Words:
    """Compare the memory's bytes with a transformer's for the same tokens."""
    kv_bytes = kv_cache_bytes(n_layer, n_embd, tokens)
    crossing = state_bytes // kv_cache_bytes(n_layer, n_embd, 1) + 1
    return Words(
        "The flat line is this memory; the rising one is what a transformer of the same shape "
        "would keep (calculated).",
        (
            f"This memory is {bytes_text(state_bytes)}, after one token or a million.",
            f"A transformer with the same {n_layer} layers of {n_embd} channels would keep "
            f"{bytes_text(kv_bytes)} for {counted(tokens, 'token')} (16-bit keys and values).",
            f"It outgrows this memory at token {crossing:,}.",
        ),
        "Strange would be a memory that grows: this one cannot.",
    )


def findings(recording: Recording, texts: Sequence[str]) -> str:
    """Say in two sentences what is most worth seeing in a recording.

    Args:
        recording: T tokens read by L layers.
        texts: the T tokens' texts, whitespace included.
    """
    bits, change = recording.surprise_bits, settled_change(recording)
    parts = []
    if np.isfinite(bits).any():
        parts.append(f"{word_at(texts, int(np.nanargmax(bits)))} surprised the model most")
    if np.isfinite(change).any():
        layers = relative_change(recording)
        top = int(np.nanargmax(change))
        parts.append(
            f"{word_at(texts, top)} changed its memory most, "
            f"above all in layer {int(layers[:, top].argmax()) + 1}"
        )
    median = float(np.median(half_life_tokens(recording.log_decay)))
    fading = f"Half of its channels forget half within {tokens_text(median)}."
    seen = counted(len(recording.tokens), "token")
    return f"{seen} read: {', and '.join(parts)}. {fading}" if parts else f"{seen} read. {fading}"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
