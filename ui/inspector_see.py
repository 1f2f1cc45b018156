"""See: read a text or the chat, and look at what the memory did."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, Final, Literal

import gradio as gr
from gradio.components.plot import PlotData

from presets import examples
from rwkv_core.engine import MAX_TRACE_TOKENS, Engine
from rwkv_core.errors import InputError, RwkvError
from rwkv_core.inspection import settled_change
from rwkv_core.recording import Recording
from rwkv_core.sessions import Conversation
from rwkv_core.streams import StreamStatus, TraceJob
from ui import plots
from ui.components import counted, error_line, progress_line, status_line
from ui.inspector_views import VIEW_NAMES, View, views
from ui.readings import findings, token_text
from ui.session import RunningStreams
from ui.word_strip import word_strip

PROGRESS_INTERVAL_S = 0.2

Source = Literal["A text of mine", "This chat"]
MY_TEXT: Final = "A text of mine"
THIS_CHAT: Final = "This chat"
SURPRISE, CHANGE = "Surprise", "Change"
Updates = dict[Any, Any]

INTRO = "<p>Read a text and see what happened inside: what was kept, where, and for how long.</p>"
EMPTY = """<section class="inspector-empty"><h3>Nothing read yet</h3>
<p>This model re-reads nothing: it keeps one small memory of fixed size and rewrites it at every
word. Choose an example or paste a text, then press <b>Read it</b>. You will see which words
surprised the model, which ones changed its memory, where that memory is kept, and how fast it
fades.</p></section>"""


@dataclass(frozen=True, eq=False)
class Card:
    """Where one view is shown."""

    plot: gr.Plot
    reading: gr.HTML
    numbers: gr.DownloadButton


@dataclass(frozen=True, eq=False)
class Panel:
    """The components that handlers change."""

    source: gr.Radio
    text: gr.Textbox
    read: gr.Button
    stop: gr.Button
    status: gr.HTML
    empty: gr.HTML
    findings: gr.HTML
    measure: gr.Radio
    surprise: gr.HTML
    change: gr.HTML
    cards: dict[str, Card]

    def outputs(self) -> set[Any]:
        """Every component that reading a text may change."""
        cards = (part for card in self.cards.values() for part in vars(card).values())
        own = {part for name, part in vars(self).items() if name not in ("cards", "measure")}
        return {*own, *cards}


class Reading:
    """A text being read, which remembers that the visitor ended it."""

    def __init__(self, job: TraceJob) -> None:
        self.job = job
        self.is_stopped = False

    def cancel(self) -> None:
        """End soon; without effect when it has ended."""
        self.is_stopped = True
        self.job.cancel()


def build_see(engine: Engine, visitor: gr.State, conversation: gr.State) -> None:
    """Lay out what one reading shows and wire it.

    Args:
        engine: reads the texts.
        visitor: holds the session id.
        conversation: holds the visitor's chat, a `Conversation`.
    """
    running = RunningStreams()
    panel, starts = _lay_out()
    quick: dict[str, Any] = {
        "queue": False,
        "show_progress": "hidden",
        "api_visibility": "private",
    }
    read: dict[str, Any] = {
        "fn": partial(inspect_text, engine, panel, running),
        "inputs": [panel.source, panel.text, conversation, visitor],
        "outputs": panel.outputs(),
        "concurrency_limit": None,
        "show_progress": "hidden",
        "api_visibility": "private",
    }
    panel.read.click(**read)
    for button, text in starts:
        chosen = button.click(
            partial(tuple, (MY_TEXT, text)), None, [panel.source, panel.text], **quick
        )
        chosen.success(**read)
    panel.stop.click(running.stop, visitor, None, **quick)
    panel.source.change(show_source, panel.source, panel.text, **quick)
    panel.measure.change(show_strip, panel.measure, [panel.surprise, panel.change], **quick)


def show_source(source: Source) -> dict[str, Any]:
    """Show the text box only where its text is what will be read."""
    return gr.update(visible=source == MY_TEXT)


def show_strip(measure: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Show one of the two coloured texts."""
    return gr.update(visible=measure == SURPRISE), gr.update(visible=measure == CHANGE)


def ids_to_read(
    engine: Engine, source: Source, text: str, conversation: Conversation
) -> tuple[int, ...]:
    """Turn what the visitor chose into tokens, the end-of-text token first.

    Raises:
        InputError: nothing to read, or more than 4,096 tokens.
    """
    if source == THIS_CHAT:
        if not conversation.turns:
            raise InputError(
                "The chat is still empty: say something in the Chat tab, then come back."
            )
        ids = conversation.ids
    else:
        if not text.strip():
            raise InputError(
                "There is nothing to read yet: type or paste a text, or choose an example."
            )
        # Training put this token before each document, so the first word has something before it.
        ids = (engine.tokenizer.end_of_text, *engine.encode(text))
    if len(ids) > MAX_TRACE_TOKENS:
        raise InputError(
            f"This is {len(ids):,} tokens, and the inspector reads at most {MAX_TRACE_TOKENS:,} at once: "
            f"put a part of it, about {100 * MAX_TRACE_TOKENS // len(ids)} %, into the text box."
        )
    return ids


async def inspect_text(
    engine: Engine,
    panel: Panel,
    running: RunningStreams,
    source: Source,
    text: str,
    conversation: Conversation,
    visitor: str,
) -> AsyncIterator[Updates]:
    """Read a text with progress, then show every view of it.

    Args:
        engine: reads the text.
        panel: where things are shown.
        running: what each visitor is reading, for Stop.
        source: which text.
        text: the visitor's own text.
        conversation: the visitor's chat.
        visitor: the visitor's session id.

    Yields:
        Changes by component; what was shown before stays until the new views are made.
    """
    try:
        ids = ids_to_read(engine, source, text, conversation)
        reading = Reading(engine.trace(visitor, ids))
    except RwkvError as error:
        yield {panel.status: error_line(error)}
        return
    job = reading.job
    running.start(visitor, reading)
    try:
        yield {panel.read: gr.update(visible=False), panel.stop: gr.update(visible=True)}
        async for status in job.progress(PROGRESS_INTERVAL_S):
            yield {panel.status: progress_line(status)}
        shown = await asyncio.to_thread(render, engine, panel, job.result())
        ended = {**shown, panel.status: status_line()}
    except RwkvError as error:
        said = stopped_line(job.status) if reading.is_stopped else error_line(error)
        ended = {panel.status: said}
    finally:
        is_current = running.is_current(visitor, reading)
        running.end(visitor, reading)
    # A newer reading has taken over the status line and the buttons.
    if is_current:
        buttons = {panel.read: gr.update(visible=True), panel.stop: gr.update(visible=False)}
        yield {**ended, **buttons}


def stopped_line(status: StreamStatus) -> str:
    """Say how far a reading came before the visitor ended it."""
    return status_line(
        f"Stopped after {status.tokens_read:,} of {counted(status.tokens_to_read, 'token')}."
    )


def render(engine: Engine, panel: Panel, recording: Recording) -> Updates:
    """Make everything that shows one recording.

    Args:
        engine: gives the tokenizer and the model's sizes.
        panel: where things are shown.
        recording: what was measured.
    """
    texts = [token_text(engine.tokenizer.token_bytes(int(token))) for token in recording.tokens]
    change = 100 * settled_change(recording)
    # An unguessable folder: whoever knows a file's address can fetch it.
    folder = Path(panel.text.GRADIO_CACHE) / secrets.token_hex(16)
    folder.mkdir(parents=True)
    shown: Updates = {
        panel.empty: gr.update(visible=False),
        panel.findings: f"<p>{escape(findings(recording, texts))}</p>",
        panel.surprise: word_strip(texts, recording.surprise_bits, "bits of surprise"),
        panel.change: word_strip(texts, change, "% of the memory changed"),
    }
    for name, view in views(recording, texts, engine.model.config).items():
        shown |= show_view(panel.cards[name], view, folder / f"{name}.csv")
    return shown


def show_view(card: Card, view: View, path: Path) -> Updates:
    """Fill one card.

    Args:
        card: where it is shown.
        view: what to show.
        path: file to write its numbers to.
    """
    path.write_text(view.numbers, encoding="utf-8")
    return {
        card.plot: plot_data(view.figure),
        card.reading: f"<p>{escape(view.reading)}</p>",
        card.numbers: gr.update(value=str(path)),
    }


def plot_data(figure: plots.Figure) -> PlotData:
    """Hand a figure to the page without Plotly's row of buttons, which gr.Plot cannot say."""
    return PlotData(
        type="plotly", plot=json.dumps({**json.loads(figure.to_json()), "config": plots.CONFIG})
    )


def _lay_out() -> tuple[Panel, list[tuple[gr.Button, str]]]:
    gr.HTML(INTRO, elem_classes="inspector-intro")
    source = gr.Radio(
        [MY_TEXT, THIS_CHAT],
        value=MY_TEXT,
        label="What to read",
        show_label=False,
        elem_classes="segmented",
        elem_id="inspector-source",
    )
    text = gr.Textbox(
        label="Text",
        placeholder="Paste a story, a poem, a page of a book",
        lines=4,
        max_lines=12,
        elem_id="inspector-text",
    )
    with gr.Row(elem_classes="chips"):
        chosen = examples().inspector
        buttons = [(gr.Button(example.title, size="sm"), example.text) for example in chosen]
    with gr.Row(elem_classes="actions"):
        read = gr.Button("Read it", variant="primary")
        stop = gr.Button("Stop", variant="stop", visible=False)
    status = gr.HTML(status_line(), elem_id="inspector-status")
    empty = gr.HTML(EMPTY)
    # Always in the page, hidden by the style sheet while nothing is read: gradio 6.31 at times
    # loses the value of a figure that is put into the page together with it.
    with gr.Column(elem_classes="inspector-results"):
        found = gr.HTML(elem_classes="findings")
        measure = gr.Radio(
            [SURPRISE, CHANGE],
            value=SURPRISE,
            label="A stronger colour means more",
            elem_classes="segmented",
            elem_id="inspector-measure",
        )
        surprise, change = gr.HTML(), gr.HTML(visible=False)
        cards = _lay_out_cards()
    panel = Panel(source, text, read, stop, status, empty, found, measure, surprise, change, cards)
    return panel, buttons


def _lay_out_cards() -> dict[str, Card]:
    wide, *narrow = VIEW_NAMES
    cards = {wide: _card(wide)}
    for pair in (narrow[i : i + 2] for i in range(0, len(narrow), 2)):
        with gr.Row(equal_height=True):
            cards |= {name: _card(name) for name in pair}
    return cards


def _card(name: str) -> Card:
    with gr.Column(elem_classes="figure-card", min_width=320):
        plot = gr.Plot(show_label=False, container=False, elem_id=f"inspector-{name}")
        reading = gr.HTML()
        numbers = gr.DownloadButton("Numbers (CSV)", size="sm")
    return Card(plot, reading, numbers)
