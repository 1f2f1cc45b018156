"""Pieces that several experiments share: where a text comes from, texts and words side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

import gradio as gr

from presets.words import speak
from rwkv_core.engine import Engine
from rwkv_core.errors import InputError
from rwkv_core.generate import GenerationSettings
from rwkv_core.inspection.comparison import Mover
from rwkv_core.inspection.lab import Text
from rwkv_core.sampling import SamplingSettings
from rwkv_core.sessions import Conversation
from ui.components import percent, visible
from ui.readings import token_text
from ui.session import QUIET_EVENT
from ui.shelf import Shelf, Shelved
from ui.words import say

MAX_TEXT_TOKENS, MAX_CUE_TOKENS = 4096, 256
MIN_LENGTH, MAX_LENGTH = 8, 64
# Words whose probability moves by less are not worth a line.
SHOWN_MOVE, SHOWN_MOVERS = 0.005, 6
MY_TEXT, THIS_CHAT, SHELF = "my_text", "this_chat", "shelf"


@dataclass(frozen=True, eq=False)
class Source:
    """Where a memory comes from."""

    kind: gr.Radio
    text: gr.Textbox
    item: gr.Dropdown

    @property
    def inputs(self) -> list[Any]:
        """In the order of `Choice`."""
        return [self.kind, self.text, self.item]

    @property
    def filled(self) -> list[Any]:
        """What an example fills."""
        return [self.kind, self.text]


class Choice(NamedTuple):
    """What a visitor chose as the source of a memory.

    Attributes:
        kind: a text, the chat, or a memory from the shelf.
        text: of the box; None where it was never shown.
        item: key of the shelf's item.
    """

    kind: str
    text: str | None
    item: str | None = None

    @property
    def is_given(self) -> bool:
        """Whether a source that may be left out is there."""
        return self.kind != MY_TEXT or bool((self.text or "").strip())


class Stores(NamedTuple):
    """What a visitor has: the chat, and the memories on the shelf."""

    conversation: Conversation
    shelf: Shelf


@dataclass(frozen=True, eq=False)
class Writing:
    """How the texts go on."""

    seed: gr.Number
    temperature: gr.Slider
    length: gr.Slider

    @property
    def inputs(self) -> list[Any]:
        """In the order of `writing_settings`."""
        return [self.seed, self.temperature, self.length]


def lay_out_source(shelf: gr.State, name: str, label: str, info: str, *, lines: int = 3) -> Source:
    """Lay out one choice of a text, the chat or a memory from the shelf.

    Args:
        shelf: holds the visitor's `Shelf`.
        name: of its elements.
        label: key of its label.
        info: key of its hint.
        lines: height of the box.
    """
    kind = gr.Radio(
        [
            (say("study.my_text"), MY_TEXT),
            (say("study.this_chat"), THIS_CHAT),
            (say("study.shelf"), SHELF),
        ],
        value=MY_TEXT,
        label=say(label),
        show_label=False,
        elem_classes=["segmented", "study-source"],
        elem_id=f"{name}-source",
    )
    text = gr.Textbox(
        label=say(label), info=say(info), lines=lines, max_lines=10, elem_id=f"{name}-text",
        elem_classes="study-text",
    )  # fmt: skip
    item = gr.Dropdown(
        [], label=say("study.shelf"), info=say("study.shelf_info"), visible=False,
        elem_id=f"{name}-item",
    )  # fmt: skip
    kind.change(_show_source, kind, [text, item], **QUIET_EVENT)
    shelf.change(_show_items, [shelf, item], item, **QUIET_EVENT)
    return Source(kind, text, item)


def _show_source(kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Show the box, or the list, only where it is what will be read."""
    return gr.update(visible=kind == MY_TEXT), gr.update(visible=kind == SHELF)


def _show_items(shelf: Shelf, item: str | None) -> dict[str, Any]:
    """List what is on the shelf; what was chosen stays, and the newest is offered first."""
    keys = [kept.key for kept in shelf.items]
    choices = [(kept.name, kept.key) for kept in shelf.items]
    newest = keys[-1] if keys else None
    return gr.update(choices=choices, value=item if item in keys else newest)


def lay_out_cue(name: str, label: str = "study.cue") -> gr.Textbox:
    """Lay out the box for what is read next."""
    return gr.Textbox(
        label=say(label), info=say("study.cue_info"), lines=2, max_lines=6,
        elem_id=f"{name}-cue", elem_classes="study-text",
    )  # fmt: skip


def lay_out_writing(length: int = 32) -> Writing:
    """Lay out seed, temperature and length, folded away."""
    classes = ["quiet", "fine-controls"]
    with gr.Accordion(say("study.fine"), open=False, elem_classes=classes), gr.Row():
        return Writing(
            gr.Number(1, label=say("study.seed"), info=say("study.seed_info"), precision=0,
                      minimum=0),
            gr.Slider(0, 2, 0, step=0.05, label=say("study.temperature"),
                      info=say("study.temperature_info")),
            gr.Slider(MIN_LENGTH, MAX_LENGTH, length, step=1, label=say("study.length"),
                      info=say("study.length_info")),
        )  # fmt: skip


def writing_settings(seed: float, temperature: float, length: float) -> GenerationSettings:
    """Build settings from what the controls hold.

    Raises:
        SettingsError: a value is outside its range.
        InputError: a value is missing, or the length out of range.
    """
    try:
        whole, count = int(seed), int(length)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError("a fine control is empty; type a number") from error
    if not MIN_LENGTH <= count <= MAX_LENGTH:
        raise InputError(
            "{count} tokens to write, but 2 texts take {least} to {most}",
            count=count,
            least=MIN_LENGTH,
            most=MAX_LENGTH,
        )
    sampling = SamplingSettings(
        temperature, 1.0 if temperature == 0 else 0.9, 0, 0.0, 0.0, seed=whole
    )
    return GenerationSettings(sampling, max_tokens=count)


def source_text(language: str, engine: Engine, stores: Stores, choice: Choice) -> Text:
    """Turn a choice into what its memory has read; a text begins with the end-of-text token.

    Raises:
        InputError: nothing to read, or too much.
    """
    conversation, root = stores.conversation, ""
    if choice.kind == SHELF:
        kept = item_of(stores.shelf, choice)
        if kept is None:
            raise InputError(speak(language, "study.shelf_is_empty"))
        ids, root = kept.ids, kept.root
    elif choice.kind == THIS_CHAT:
        if not conversation.turns:
            raise InputError(speak(language, "study.chat_is_empty"))
        ids, root = conversation.ids, conversation.root
    else:
        text = choice.text or ""
        if not text.strip():
            raise InputError(speak(language, "study.nothing_to_read"))
        ids = (engine.tokenizer.end_of_text, *engine.encode(text))
    return Text(_limited(language, "study.the_text", ids, MAX_TEXT_TOKENS), root)


def item_of(shelf: Shelf, choice: Choice) -> Shelved | None:
    """Find the shelf's item that was chosen; None where the source is no memory of the shelf."""
    if choice.kind != SHELF:
        return None
    return next((item for item in shelf.items if item.key == choice.item), None)


def cue_ids(language: str, engine: Engine, cue: str | None) -> tuple[int, ...]:
    """Turn what is read next into tokens; none for an empty box.

    Raises:
        InputError: it is too long.
    """
    ids = tuple(engine.encode(cue)) if cue else ()
    return _limited(language, "study.the_cue", ids, MAX_CUE_TOKENS)


def _limited(language: str, what: str, ids: tuple[int, ...], limit: int) -> tuple[int, ...]:
    if len(ids) > limit:
        raise InputError(
            speak(
                language,
                "study.too_long",
                what=speak(language, what),
                count=f"{len(ids):,}",
                limit=f"{limit:,}",
            )
        )
    return ids


def word_of(engine: Engine, token: int) -> str:
    """Show one token, its blanks made visible."""
    return visible(token_text(engine.tokenizer.token_bytes(token)))


def texts_html(
    heads: Sequence[str], cue: str | None, texts: Sequence[str], *, strong: int | None = None
) -> str:
    """Show how several memories go on, side by side.

    Args:
        heads: what each is called.
        cue: what all read last.
        texts: what each wrote.
        strong: which one stands out.
    """
    cards = "".join(
        f'<article class="study-card{" is-strong" if index == strong else ""}">'
        f"<h3>{escape(head)}</h3>"
        f'<p><span class="cue">{escape((cue or "").lstrip())}</span>{escape(text)}</p></article>'
        for index, (head, text) in enumerate(zip(heads, texts, strict=True))
    )
    return f'<div class="study-columns">{cards}</div>'


def movers_html(
    engine: Engine, heads: Sequence[str], lists: Sequence[Sequence[Mover]], names: Sequence[str]
) -> str:
    """Show the words that two memories expect differently, with both probabilities.

    Args:
        engine: gives the words.
        heads: what each list is called.
        lists: the words of each.
        names: what the two memories are called, before and after.
    """
    cards = "".join(
        f'<article class="study-card"><h3>{escape(head)}</h3>'
        f"<ol>{''.join(_mover_row(engine, m, names) for m in shown_movers(movers)) or '<li>–</li>'}</ol>"
        "</article>"
        for head, movers in zip(heads, lists, strict=True)
    )
    return f'<div class="study-columns">{cards}</div>'


def shown_movers(movers: Sequence[Mover]) -> list[Mover]:
    """Choose the words that are worth a line."""
    return [m for m in movers if abs(m.change) >= SHOWN_MOVE][:SHOWN_MOVERS] or list(movers[:1])


def _mover_row(engine: Engine, mover: Mover, names: Sequence[str]) -> str:
    bars = "".join(
        f'<span class="chance"><i style="--share:{100 * chance:.2f}%"></i>'
        f"<span>{escape(name)} {percent(chance)}</span></span>"
        for name, chance in zip(names, (mover.before, mover.after), strict=True)
    )
    return f"<li><b>{escape(word_of(engine, mover.id))}</b>{bars}</li>"


def kl_text(bits: float) -> str:
    """Write a divergence: "3.2", "0.04", "under 0.001"."""
    if bits < 0.001:
        return "< 0.001"
    return f"{bits:.3f}" if bits < 0.01 else f"{bits:.2f}" if bits < 10 else f"{bits:.1f}"


def kl_level(bits: float) -> str:
    """Say how large a divergence is: "none", "little", "some" or "much"."""
    return next(
        (name for name, bound in (("none", 0.001), ("little", 0.1), ("some", 1.0)) if bits < bound),
        "much",
    )


def section(language: str, head: str, note: str | None, body: str) -> str:
    """Put a heading, and perhaps a note, over some HTML; both are keys of presets/words."""
    said = f"<p>{escape(speak(language, note))}</p>" if note else ""
    return f"<section><h2>{escape(speak(language, head))}</h2>{said}{body}</section>"
