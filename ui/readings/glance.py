"""What the first look at a recording shows, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rwkv_core.errors import Sentence
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
from ui.components import bytes_text
from ui.readings.wording import (
    Words,
    choices,
    counted,
    listed,
    paragraph,
    percent,
    tokens_text,
    word_at,
)

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
            Sentence(
                "On average {mean:.1f} bits a token, like guessing among {choices}.",
                mean=mean,
                choices=choices(mean),
            ),
            Sentence(
                "The most surprising is {word} with {bits:.1f} bits (1 in {choices}).",
                word=word_at(texts, top),
                bits=float(bits[top]),
                choices=choices(float(bits[top])),
            ),
            Sentence(
                "{certain:,} of {tokens} came as good as certain (under 1 bit).",
                certain=certain,
                tokens=counted(len(known), "token"),
            ),
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
    pale = Sentence(
        "Pale bars are the first {filling} tokens, which fill an empty memory and are not "
        "compared.",
        filling=filling,
    )
    caption = (
        "Each bar is what one word brought, and what the old memory gave up for it."
        if is_mean
        else "Each bar is what one word wrote into the memory, and what faded or was erased "
        "meanwhile."
    )
    parts = relative_parts(recording)
    sizes = {name: float(np.nanmean(values[filling:])) for name, values in parts.items()}
    verbs = {
        "write": "brings {share}" if is_mean else "writes {share}",
        "fade": "gives up {share}" if is_mean else "lets fade {share}",
        "erase": "erases {share}",
    }
    shares = [
        Sentence(verb, share=percent(sizes[name]))
        for name, verb in verbs.items()
        if sizes[name] > 0
    ]
    return Words(
        paragraph(caption, *([pale] if filling > 1 else [])),
        (
            Sentence(
                "Most was changed by {word}: {share} of the memory, as a mean over the {layers}.",
                word=word_at(texts, top),
                share=percent(float(change[top])),
                layers=counted(len(recording.state_norm), "layer"),
            ),
            Sentence(
                "A word of this text {shares} of the memory on average; these partly cancel, so "
                "that the memory changes by {change}.",
                shares=listed(shares),
                change=percent(float(np.nanmean(change))),
            ),
            correlation_sentence(recording),
        ),
        "Strange would be one word that rewrites most of the memory late in a text.",
    )


def correlation_sentence(recording: Recording) -> str:
    """Say whether surprising tokens change the memory more."""
    r, n = rank_correlation(recording.surprise_bits, settled_change(recording))
    if np.isnan(r):
        return Sentence("Too few tokens ({n}) to say whether surprising words change it more.", n=n)
    # Below two standard errors of unrelated series there is nothing to tell.
    if abs(r) < max(0.1, 2 / np.sqrt(n)):
        return Sentence(
            "Surprise and change hardly go together here (rank correlation {r:.2f}, n = {n:,}).",
            r=r, n=n,
        )  # fmt: skip
    strength = "clearly" if abs(r) >= 0.5 else "somewhat" if abs(r) >= 0.25 else "slightly"
    direction = "more" if r > 0 else "less"
    # Not every language puts an adverb before a comparative: each of the six is known as a whole.
    form = f"Surprising words change it {strength} {direction} "
    return Sentence(form + "(rank correlation {r:.2f}, n = {n:,}).", r=r, n=n)


def filling_words(recording: Recording, stride: int = 1) -> Words:
    """Say which layer filled first and last, and which tokens the columns are."""
    norms = recording.state_norm
    reached = (norms >= 0.9 * norms.max(axis=1, keepdims=True)).argmax(axis=1) + 1
    first, last = int(reached.argmin()), int(reached.argmax())
    columns = (
        "Each column is one token; bright means that the layer holds a lot, compared with its own "
        "average."
        if stride == 1
        else "Each column is every {stride}th token; bright means that the layer holds a lot, "
        "compared with its own average."
    )
    means = norms.mean(axis=1)
    ends = np.divide(norms[:, -1], means, out=np.ones(len(means)), where=means > 0)
    fullest = int(ends.argmax())
    told = (
        (
            Sentence(
                "All layers reach 90 % of their peak after {tokens}.",
                tokens=counted(int(reached[0]), "token"),
            ),
        )
        if reached[first] == reached[last]
        else (
            Sentence(
                "Layer {layer} reaches 90 % of its peak first, after {tokens}.",
                layer=first + 1,
                tokens=counted(int(reached[first]), "token"),
            ),
            Sentence(
                "Layer {layer} does so last, after {tokens}.",
                layer=last + 1,
                tokens=counted(int(reached[last]), "token"),
            ),
        )
    )
    return Words(
        Sentence(columns, stride=stride),
        (
            *told,
            Sentence(
                "At the end layer {layer} is fullest for its kind: {times:.2f} times its average.",
                layer=fullest + 1,
                times=float(ends[fullest]),
            ),
        ),
        "Strange would be a layer that keeps growing to the end, or that suddenly drops.",
    )


def layers_words(norms_of_heads: Floats) -> Words:
    """Say which layer of a memory without heads holds the most."""
    norms, shares = layer_norms(norms_of_heads), head_shares(norms_of_heads)
    most, least = int(norms.argmax()), int(norms.argmin())
    facts = [
        Sentence(
            "Layer {layer} is the fullest: {share} of all that is held (share of the squared norm).",
            layer=most + 1,
            share=percent(float(shares[most].sum())),
        )
    ]
    if norms[least] > 0 and most != least:
        facts.append(
            Sentence(
                "It holds {times:.1f} times as much as layer {layer}.",
                times=float(norms[most] / norms[least]),
                layer=least + 1,
            )
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
            Sentence(
                "Head {head} of layer {layer} is the fullest: {share} of all that is held (share "
                "of the squared norm), where an even split over {heads} would give {even}.",
                head=int(head) + 1,
                layer=int(layer) + 1,
                share=percent(float(shares[layer, head])),
                heads=counted(shares.size, "head"),
                even=percent(1 / shares.size),
            ),
            Sentence(
                "Layer {most} holds the most (norm {most_norm:.3g}), layer {least} the least "
                "({least_norm:.3g}).",
                most=most + 1,
                most_norm=float(norms[most]),
                least=least + 1,
                least_norm=float(norms[least]),
            ),
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
    facts = [
        Sentence(
            "Half of all channels lose half of what they hold within {tokens}; {share} keep half "
            "of it for more than a page.",
            tokens=tokens_text(float(np.median(half_life))),
            share=percent(float((half_life > PAGE_TOKENS).mean())),
        )
    ]
    if slow != fast:
        facts.append(
            Sentence(
                "Layer {slow} keeps the longest (median {slow_tokens}), layer {fast} the shortest "
                "({fast_tokens}).",
                slow=slow + 1,
                slow_tokens=tokens_text(float(medians[slow])),
                fast=fast + 1,
                fast_tokens=tokens_text(float(medians[fast])),
            )
        )
    if aged and aged[fast]:
        facts.append(
            Sentence(
                "In layer {layer}, half of what was held at {word} has faded from the typical "
                "channel by the end of the text.",
                layer=fast + 1,
                word=aged[fast],
            )
        )
    return Words(
        paragraph(
            "The further right, the longer a layer's channels keep half of what they hold.",
            "This is fading alone: the model also erases on purpose."
            if is_erasing
            else "Fading is this model's only way to forget.",
        ),
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
            Sentence(
                "This memory is {size}, after one token or a million.",
                size=bytes_text(state_bytes),
            ),
            Sentence(
                "A transformer with the same {layers} layers of {channels} channels would keep "
                "{size} for {tokens} (16-bit keys and values).",
                layers=n_layer,
                channels=n_embd,
                size=bytes_text(kv_bytes),
                tokens=counted(tokens, "token"),
            ),
            Sentence("It outgrows this memory at token {token:,}.", token=crossing),
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
    parts: list[str] = []
    if np.isfinite(bits).any():
        word = word_at(texts, int(np.nanargmax(bits)))
        parts.append(Sentence("{word} surprised the model most", word=word))
    if np.isfinite(change).any():
        layers = relative_change(recording)
        top = int(np.nanargmax(change))
        parts.append(
            Sentence(
                "{word} changed its memory most, above all in layer {layer}",
                word=word_at(texts, top),
                layer=int(layers[:, top].argmax()) + 1,
            )
        )
    median = float(np.median(half_life_tokens(recording.log_decay)))
    fading = Sentence(
        "Half of its channels forget half within {tokens}.", tokens=tokens_text(median)
    )
    seen = counted(len(recording.tokens), "token")
    if not parts:
        return paragraph(Sentence("{tokens} read.", tokens=seen), fading)
    found = parts[0]
    if len(parts) > 1:
        found = Sentence("{first}, and {second}", first=parts[0], second=parts[1])
    return paragraph(Sentence("{tokens} read: {found}.", tokens=seen, found=found), fading)
