"""Sentences that say what a recording shows; layers and heads are counted from 1 here."""

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
    settled_change,
)
from rwkv_core.recording import Recording
from ui.components import bytes_text, counted


def token_text(data: bytes) -> str:
    r"""Read one token's bytes; a piece of a character shows as its bytes, like ``\xe4``."""
    return data.decode("utf-8", errors="backslashreplace")


def word_at(texts: Sequence[str], index: int) -> str:
    """Quote the word that a token belongs to; whitespace gets a name.

    Args:
        texts: the T tokens' texts, whitespace included.
        index: which token.
    """
    if not texts[index]:
        return "the start"
    if not texts[index].strip():
        return "a line break" if "\n" in texts[index] else "a space"
    first, last = index, index
    while first > 0 and _continues(texts[first - 1], texts[first]):
        first -= 1
    while last + 1 < len(texts) and _continues(texts[last], texts[last + 1]):
        last += 1
    return f"“{''.join(texts[first : last + 1]).strip()}”"


def _continues(left: str, right: str) -> bool:
    """Tell whether two neighbours are pieces of one word."""
    return left[-1:].isalnum() and right[:1].isalnum() and left.isascii() and right.isascii()


def surprise_reading(recording: Recording, texts: Sequence[str]) -> str:
    """Say how predictable the text was and what came least expected."""
    bits = recording.surprise_bits
    if not np.isfinite(bits).any():
        return "One token alone cannot surprise: there is nothing before it to expect it from."
    mean, top = float(np.nanmean(bits)), int(np.nanargmax(bits))
    return (
        f"The taller, the less the model saw it coming. On average {mean:.1f} bits, "
        f"like guessing among {_choices(mean)}; the most surprising is "
        f"{word_at(texts, top)} with {bits[top]:.1f} bits (1 in {_choices(float(bits[top]))})."
    )


def change_reading(recording: Recording, texts: Sequence[str]) -> str:
    """Say which word rewrote most, and whether surprise and change go together."""
    change = settled_change(recording)
    if not np.isfinite(change).any():
        return "One token alone has no memory before it to change."
    top, filling = int(np.nanargmax(change)), filling_tokens(recording)
    # The first token has no bar, so one filling token alone has no grey bar to explain.
    grey = (
        f" Grey bars are the first {filling} tokens, which fill an empty memory and are not "
        "compared."
        if filling > 1
        else ""
    )
    return (
        "The taller, the more of its notes the model rewrote, as a mean over the "
        f"{counted(len(recording.state_norm), 'layer')}.{grey} Most was changed by "
        f"{word_at(texts, top)}: {_percent(float(change[top]))}. "
        f"{correlation_reading(recording)}"
    )


def correlation_reading(recording: Recording) -> str:
    """Say in one sentence whether surprising tokens change the memory more."""
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


def filling_reading(recording: Recording, stride: int = 1) -> str:
    """Say which layer filled first and last, and which tokens the columns are."""
    norms = recording.state_norm
    reached = (norms >= 0.9 * norms.max(axis=1, keepdims=True)).argmax(axis=1) + 1
    first, last = int(reached.argmin()), int(reached.argmax())
    columns = (
        "Each column is one token" if stride == 1 else f"Each column is every {stride}th token"
    )
    text = f"{columns}; bright means that the layer holds a lot, compared with its own average. "
    if reached[first] == reached[last]:
        return (
            text + f"All layers reach 90 % of their peak after {counted(int(reached[0]), 'token')}."
        )
    return text + (
        f"Layer {first + 1} reaches 90 % of its peak first, after "
        f"{counted(int(reached[first]), 'token')}; layer {last + 1} last, after {reached[last]:,}."
    )


def layers_reading(norms_of_heads: Floats) -> str:
    """Say which layer holds the most and which the least."""
    norms = layer_norms(norms_of_heads)
    most, least = int(norms.argmax()), int(norms.argmin())
    text = f"Layer {most + 1} holds the most (norm {norms[most]:.3g})"
    if most == least or norms[least] <= 0:
        return text + "."
    return text + (
        f", layer {least + 1} the least ({norms[least]:.3g}), "
        f"{norms[most] / norms[least]:.1f} times less. Layer 1 is nearest to the words."
    )


def heads_reading(norms_of_heads: Floats) -> str:
    """Say which head holds the most and how unevenly the memory is spread."""
    shares = head_shares(norms_of_heads)
    layer, head = np.unravel_index(int(shares.argmax()), shares.shape)
    if shares.shape[1] == 1:
        return (
            f"This model has no heads: each layer keeps one running mean. Layer {layer + 1} is the "
            f"fullest: {_percent(float(shares[layer, 0]))} of all that is held (share of the "
            "squared norm)."
        )
    return (
        f"A head is one small table of associations. Head {head + 1} of layer {layer + 1} is the "
        f"fullest: {_percent(float(shares[layer, head]))} of all that is held (share of the squared norm), "
        f"where an even split over {counted(shares.size, 'head')} would give {_percent(1 / shares.size)}."
    )


def forgetting_reading(log_decay: Floats, *, is_erasing: bool) -> str:
    """Say how fast channels fade, and which layers keep the longest and the shortest.

    Args:
        log_decay: (L, H, K), mean over the text.
        is_erasing: whether this generation also removes what it held under a key.
    """
    half_life = half_life_tokens(log_decay)
    medians = np.median(half_life.reshape(len(half_life), -1), axis=1)
    slow, fast = int(medians.argmax()), int(medians.argmin())
    text = (
        f"Half of all channels lose half of what they hold within "
        f"{_tokens(float(np.median(half_life)))}; {_percent(float((half_life > PAGE_TOKENS).mean()))}"
        " keep half of it for more than a page. "
    )
    if slow != fast:
        text += (
            f"Layer {slow + 1} keeps the longest (median {_tokens(float(medians[slow]))}), "
            f"layer {fast + 1} the shortest ({_tokens(float(medians[fast]))}). "
        )
    if is_erasing:
        return text + "This is fading alone: the model also erases on purpose."
    return text + "Fading is this model's only way to forget."


def size_reading(state_bytes: int, n_layer: int, n_embd: int, tokens: int) -> str:
    """Compare the memory's bytes with a transformer's for the same tokens."""
    kv_bytes = kv_cache_bytes(n_layer, n_embd, tokens)
    crossing = state_bytes // kv_cache_bytes(n_layer, n_embd, 1) + 1
    return (
        f"This memory is {bytes_text(state_bytes)}, after one token or a million. A transformer "
        f"with the same {n_layer} layers of {n_embd} channels would keep "
        f"{bytes_text(kv_bytes)} for these {counted(tokens, 'token')} (calculated, 16-bit keys "
        f"and values), and outgrows it at token {crossing:,}."
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
    fading = f"Half of its channels forget half within {_tokens(median)}."
    seen = counted(len(recording.tokens), "token")
    return f"{seen} read: {', and '.join(parts)}. {fading}" if parts else f"{seen} read. {fading}"


def _tokens(number: float) -> str:
    if not np.isfinite(number):
        return "endless tokens"
    return f"{number:.1f} tokens" if number < 10 else f"{number:,.0f} tokens"


def _percent(share: float) -> str:
    return "under 1 %" if 0 < share < 0.01 else f"{100 * share:.0f} %"


def _choices(bits: float) -> str:
    """Write 2^bits with two leading digits, as the equal choices it stands for."""
    choices = 2.0 ** min(bits, 60.0)
    if choices < 10:
        return f"{choices:.1f}"
    size = 10 ** (int(np.log10(choices)) - 1)
    return f"{round(choices / size) * size:,}"
