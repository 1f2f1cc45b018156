"""Change: blend memories with a slider, damage one in several ways, and see what that does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

import gradio as gr

from presets.words import speak
from rwkv_core.engine import Engine
from rwkv_core.errors import InputError, RwkvError
from rwkv_core.inspection.editing import Edit, Gain, KeepSlow, Noise, ZeroHead, ZeroLayer
from rwkv_core.inspection.lab import Text
from rwkv_core.inspection.trial import Recipe, Trial, make_memory, try_recipe
from rwkv_core.sessions import Conversation
from rwkv_core.streams import WorkJob
from ui.components import error_line, status_line
from ui.inspector_change_layout import Panel, lay_out
from ui.inspector_change_views import edits_line, render
from ui.session import MODEL_EVENT, QUIET_EVENT, RunningStreams
from ui.shelf import Shelf, keep_memory, tail_of
from ui.shelf_card import SHOW_KEPT
from ui.studies import INTERVAL_S, Updates, in_language, run_study
from ui.study_parts import Choice, Stores, cue_ids, item_of, source_text, writing_settings
from ui.words import language_of

MAX_EDITS = 12

Edits = tuple[Edit, ...]


def build_change(
    engine: Engine, visitor: gr.State, conversation: gr.State, shelf: gr.State
) -> None:
    """Lay out the changes and wire them.

    Args:
        engine: runs the model.
        visitor: holds the session id.
        conversation: holds the visitor's chat, a `Conversation`.
        shelf: holds what the visitor has kept, a `Shelf`.
    """
    running = RunningStreams()
    panel, starts = lay_out(engine.model.config, shelf)
    edits = panel.edits
    run: dict[str, Any] = {
        "fn": in_language(partial(change, engine, panel, running)),
        "inputs": [
            visitor,
            conversation,
            shelf,
            edits,
            *panel.recipe_inputs,
            *panel.writing.inputs,
        ],
        "outputs": panel.outputs,
        **MODEL_EVENT,
    }
    panel.controls.go.click(**run)
    for button, values in starts:
        filled = button.click(
            partial(tuple, (*values, (), "")), None,
            [*panel.example_inputs, edits, panel.edited], **QUIET_EVENT,
        )  # fmt: skip
        filled.success(**run)
    for slider in (panel.share_b, panel.share_c):
        # Every step of a drag begins anew and ends the one before.
        slider.input(**run, trigger_mode="multiple")
    for button, maker, inputs in tools_of(panel):
        button.click(
            in_language(partial(add_and_change, engine, panel, running, maker)),
            [*run["inputs"], *inputs], [*panel.outputs, edits, panel.edited],
            trigger_mode="multiple", **MODEL_EVENT,
        )  # fmt: skip
    for button, taker in ((panel.undo, without_last), (panel.reset, without_any)):
        taken = button.click(_in_words(taker), edits, [edits, panel.edited], **QUIET_EVENT)
        taken.success(**run)
    panel.controls.stop.click(running.stop, visitor, None, **QUIET_EVENT)
    kept = panel.keep.click(
        in_language(partial(keep, engine, panel)),
        [visitor, conversation, shelf, edits, *panel.recipe_inputs],
        [shelf, panel.controls.status],
        **MODEL_EVENT,
    )
    kept.success(None, None, None, js=SHOW_KEPT, **QUIET_EVENT)


def _in_words(taker: Any) -> Any:
    """Let a handler make new edits, and say which there are in the visitor's language."""

    def said(request: gr.Request, *values: Any) -> tuple[Edits, str]:
        language = language_of(request)
        edits = taker(language, *values)
        return edits, edits_line(language, edits)

    return said


def add_edit(maker: Any, language: str, edits: Edits, *values: float) -> Edits:
    """Add one change behind those there are.

    Raises:
        InputError: there are too many already, or a value is missing.
    """
    if len(edits) >= MAX_EDITS:
        raise InputError(speak(language, "change.too_many", count=MAX_EDITS))
    try:
        return (*edits, maker(*values))
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError("a number is missing; type one") from error


def without_last(_language: str, edits: Edits) -> Edits:
    """Take the last change back."""
    return edits[:-1]


def without_any(_language: str, _edits: Edits) -> Edits:
    """Take every change back."""
    return ()


def make_recipe(
    language: str, engine: Engine, stores: Stores, edits: Edits, *values: Any
) -> Recipe:
    """Turn what the page holds into a recipe.

    Args:
        language: of the visitor.
        engine: knows the vocabulary.
        stores: what the visitor has.
        edits: changes after the blend.
        values: source A, B, C, the shares of B and C, and the cue.

    Raises:
        InputError: nothing to read, too much, or a share that is none.
    """
    *_, share_b, share_c, cue = values
    texts: list[Text] = []
    weights: list[float] = []
    choices = choices_of(values)
    for choice, share in zip(choices, shares(share_b, share_c, choices), strict=True):
        if share is not None:
            texts.append(source_text(language, engine, stores, choice))
            weights.append(share)
    return Recipe(tuple(texts), tuple(weights), tuple(edits), cue_ids(language, engine, cue))


def choices_of(values: Sequence[Any]) -> tuple[Choice, Choice, Choice]:
    """Read the sources A, B and C."""
    return Choice(*values[:3]), Choice(*values[3:6]), Choice(*values[6:9])


def shares(
    share_b: float, share_c: float, choices: Sequence[Choice]
) -> tuple[float, float | None, float | None]:
    """Split 1 over A, B and C; None for one that is not there.

    Raises:
        InputError: a share is not between 0 and 1.
    """
    for share in (share_b, share_c):
        if not isinstance(share, int | float) or not 0 <= share <= 1:
            raise InputError("a share is {share}, but must be 0 to 1; move the slider", share=share)
    _, has_b, has_c = (choice.is_given for choice in choices)
    b, c = (share_b if has_b else 0.0), (share_c if has_c else 0.0)
    return (1 - b) * (1 - c), b * (1 - c) if has_b else None, c if has_c else None


async def keep(
    engine: Engine,
    panel: Panel,
    language: str,
    visitor: str,
    conversation: Conversation,
    shelf: Shelf,
    edits: Edits,
    *values: Any,
) -> AsyncIterator[Updates]:
    """Put the changed memory on the shelf, from where Chat and Completion go on with it.

    Args:
        engine: makes and holds it.
        panel: where the status line is.
        language: of the visitor.
        visitor: session id.
        conversation: the visitor's chat.
        shelf: what the visitor has kept.
        edits: changes after the blend.
        values: as in `make_recipe`.
    """
    # The shelf is the last thing that may change, so a failure leaves it as it was.
    status = panel.controls.status
    try:
        shelf.require_room()
        recipe = make_recipe(language, engine, Stores(conversation, shelf), edits, *values)
        job = engine.study(visitor, lambda lab: make_memory(lab, recipe), recipe.tokens)
        async for _ in job.progress(INTERVAL_S):
            yield {status: status_line("…")}
        # A loaded or tuned memory has few ids or none; its item knows its words.
        item = item_of(shelf, choices_of(values)[0])
        words = item.tail if item else tail_of(engine, recipe.sources[0].ids)
        # From the start of a word, so that the name can be read.
        end = words if len(words) <= 30 else words[-30:].partition(" ")[2] or words[-30:]
        if item and not end:
            end = item.name
        name = speak(language, "change.kept_name", name=end)
        kept = keep_memory(engine, visitor, shelf, job.result(), name=name, tail=words)
    except RwkvError as error:
        yield {status: error_line(error, language)}
        return
    said = speak(language, "study.kept", name=kept.current.name)
    yield {panel.shelf: kept, status: status_line(said)}


async def change(
    engine: Engine,
    panel: Panel,
    running: RunningStreams,
    language: str,
    visitor: str,
    conversation: Conversation,
    shelf: Shelf,
    edits: Edits,
    *values: Any,
) -> AsyncIterator[Updates]:
    """Make a changed memory and show what it does.

    Args:
        engine: runs the model.
        panel: where things are shown.
        running: what each visitor runs.
        language: of the visitor.
        visitor: session id.
        conversation: the visitor's chat.
        shelf: what the visitor has kept.
        edits: changes after the blend.
        values: as in `make_recipe`, then how the texts go on.
    """
    recipe_values, writing = values[:-3], values[-3:]
    cue, (_, b, c) = recipe_values[-1], choices_of(recipe_values)
    names = ["A", *(["B"] if b.is_given else []), *(["C"] if c.is_given else [])]

    def begin() -> WorkJob[Trial]:
        recipe = make_recipe(language, engine, Stores(conversation, shelf), edits, *recipe_values)
        settings = writing_settings(*writing)
        tokens = recipe.tokens + (len(recipe.sources) + 1) * settings.max_tokens
        return engine.study(visitor, lambda lab: try_recipe(lab, recipe, settings), tokens)

    def show(found: Trial, is_end: bool) -> Updates:
        share = recipe_values[-3] if names == ["A", "B"] and not edits else None
        return render(language, engine, panel, found, cue, names, share, is_end=is_end)

    async for updates in run_study(language, panel.controls, running, visitor, begin, show):
        yield updates


async def add_and_change(
    engine: Engine,
    panel: Panel,
    running: RunningStreams,
    maker: Any,
    language: str,
    visitor: str,
    conversation: Conversation,
    shelf: Shelf,
    edits: Edits,
    *values: Any,
) -> AsyncIterator[Updates]:
    """Add one change and try it; where it is refused, say why and run nothing.

    Args:
        engine: runs the model.
        panel: where things are shown.
        running: what each visitor runs.
        maker: of the change.
        language: of the visitor.
        visitor: session id.
        conversation: the visitor's chat.
        shelf: what the visitor has kept.
        edits: changes after the blend so far.
        values: as in `change`, then those of the change.
    """
    count = len(panel.recipe_inputs) + len(panel.writing.inputs)
    values, own = values[:count], values[count:]
    try:
        edits = add_edit(maker, language, edits, *own)
    except RwkvError as error:
        # Beside the changes, for a change still under way goes on filling the status line.
        yield {panel.edited: edits_line(language, edits) + error_line(error, language)}
        return
    yield {panel.edits: edits, panel.edited: edits_line(language, edits)}
    async for updates in change(
        engine, panel, running, language, visitor, conversation, shelf, edits, *values
    ):
        yield updates


def empty_part(layer: float, head: float) -> Edit:
    """Empty a layer, or one head of it where the head is above 0; counted from 1."""
    return ZeroHead(int(layer) - 1, int(head) - 1) if head > 0 else ZeroLayer(int(layer) - 1)


def keep_slow(tokens: float) -> Edit:
    """Keep channels of this half-life and longer."""
    return KeepSlow(float(tokens))


def weigh(factor: float) -> Edit:
    """Weigh what is held against what comes next."""
    return Gain(float(factor))


def add_noise(strength: float, seed: float) -> Edit:
    """Add seeded noise."""
    return Noise(float(strength), int(seed))


def tools_of(panel: Panel) -> list[tuple[gr.Button, Any, list[Any]]]:
    """List each kind of change: its button, what makes it, and from which controls."""
    tools = panel.tools
    return [
        (tools.empty, empty_part, [tools.layer, tools.head]),
        (tools.slow, keep_slow, [tools.half_life]),
        (tools.weigh, weigh, [tools.gain]),
        (tools.roughen, add_noise, [tools.noise, panel.writing.seed]),
    ]
