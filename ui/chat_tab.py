"""Chat: a conversation whose memory never grows; layout first, wiring last.

Every way to ask for an answer (send, example, retry, edit, continue) first becomes an `Ask`, then
one handler answers it. What the handlers do is in the package `ui.chat`.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr
from gradio.events import Dependency

from presets import ChatTemplate, chat_template_for
from rwkv_core.config import Choice
from rwkv_core.engine import Engine
from ui.chat import actions, beside, browser, keeping
from ui.chat.answering import answer
from ui.chat.exact import exact_text
from ui.chat.frames import ChatFrame, box_for
from ui.chat.held import Held, build_held
from ui.chat.layout import (
    Bar,
    Fork,
    Manage,
    Talk,
    Who,
    build_bar,
    build_fork,
    build_manage,
    build_talk,
    build_who,
    form_note,
    greeting,
    persona_choices,
    thinking_choices,
)
from ui.chat.reading import build_reading
from ui.chat.recipes import rebuild
from ui.chat.values import Chats
from ui.components import memory_card
from ui.controls import build_controls
from ui.kept_settings import browser_state, keep_settings
from ui.session import MODEL_EVENT, QUIET_EVENT, RunningStreams, new_visitor
from ui.shelf import Shelf
from ui.shelf_card import ShelfPorts, build_keep_button, keep_chat, wire_keep_button
from ui.words import language_of

# Only the browser knows under which address it sees the page.
_WHOLE_LINK = "(link) => link ? location.origin + location.pathname + link : link"
# Tells early.js that whatever was pressed meanwhile can go on.
_IS_BACK = "() => { document.documentElement.dataset.isBack = ''; }"
# On a phone the second column stands below the first, out of sight.
_SHOW_FORK = """() => setTimeout(
  () => document.querySelector('.fork .talk')?.scrollIntoView({block: 'nearest'}), 100)"""


@dataclass(frozen=True)
class Tab:
    """All that the tab's events are wired with.

    Attributes:
        engine: runs the model.
        template: turns roles into text.
        why: which template that is, and why.
        running: streams of the first column, those of the second one.
        outputs: what shows a `ChatFrame`.
        outputs_beside: what shows a `BesideFrame`.
        wishes: what gives `Wishes` and `Controls`.
    """

    engine: Engine
    template: ChatTemplate
    why: Choice
    running: tuple[RunningStreams, RunningStreams]
    bar: Bar
    talk: Talk
    fork: Fork
    who: Who
    manage: Manage
    exact: gr.HTML
    held: Held
    outputs: list[Any]
    outputs_beside: list[Any]
    wishes: list[Any]

    @property
    def mine(self) -> list[Any]:
        """Inputs of whatever may stop the first column and change its chat."""
        return [self.held.visitor, self.held.language, self.held.chats]

    @property
    def column(self) -> list[Any]:
        """Outputs that open and close the second column."""
        return [self.fork.column, self.fork.note, self.held.pair_seed]


def build_chat_tab(
    engine: Engine,
    page: gr.Blocks,
    visitor: gr.State,
    conversation: gr.State,
    ports: ShelfPorts,
    *,
    may_read_ahead: bool = False,
) -> None:
    """Lay out the tab and wire it.

    Args:
        engine: runs the model.
        page: that the tab stands on.
        visitor: holds the session id.
        conversation: holds the shown `Conversation`, which the inspector reads too.
        ports: what it shares with the shelf.
        may_read_ahead: whether drafts may be read while they are typed.
    """
    template, why = chat_template_for(engine.model.name, engine.tokenizer.name)
    with gr.Row(elem_classes="workbench"):
        with gr.Column(elem_classes="main-column", min_width=280):
            bar = build_bar()
            with gr.Row(elem_classes="columns"):
                with gr.Column(elem_classes="first-talk", min_width=240):
                    talk = build_talk(engine, "chat", is_first=True)
                fork = build_fork(engine)
            exact = gr.HTML("", elem_id="chat-exact")
        with gr.Column(elem_classes="side-column", min_width=240):
            memory = gr.HTML(memory_card(engine.model.config, 0, 0), elem_id="chat-memory")
            keeper = build_keep_button()
            chooser = build_controls(engine.model.name)
            who = build_who(template, why)
            manage = build_manage()
            held, second = build_held(visitor), fork.talk
            drafted = [visitor, held.language, talk.box, held.chats, who.persona]
            ahead = build_reading(engine, template, drafted, may_read_ahead=may_read_ahead)
    tab = Tab(
        engine, template, why, (RunningStreams(), RunningStreams()), bar, talk, fork, who, manage,
        exact, held,
        [
            talk.chat, held.chats, conversation, talk.box, talk.status, memory, talk.marks,
            talk.go_on, talk.earlier, bar.picker, manage.title, manage.bring_back,
        ],
        [
            second.chat, held.beside, second.box, second.status, second.marks, second.go_on,
            second.earlier,
        ],
        [who.persona, who.thinking, who.stops, held.pair_seed, *chooser.numbers],
    )  # fmt: skip
    wire_fork(tab, wire_answers(tab))
    wire_chats(tab)
    wire_load(tab, page)
    wire_shelf(tab, keeper, ports)
    filled = who.ready_made.input(str, who.ready_made, who.persona, **QUIET_EVENT)
    settings = {**chooser.named, "persona": who.persona, **({"ahead": ahead} if ahead else {})}
    keep_settings(page, browser_state("settings"), settings, [chooser.filled, filled])


def wire_answers(tab: Tab) -> Dependency:
    """Wire every way to ask for an answer in the first column.

    Returns:
        The step after which `Held.ask` has what was sent.
    """
    held, talk = tab.held, tab.talk
    ask, chats = held.ask, held.chats
    steps = (
        talk.box.submit(actions.send, talk.box, ask, js=browser.send_from("chat"), **QUIET_EVENT),
        talk.chat.example_select(actions.send_example, None, ask, **QUIET_EVENT),
        talk.chat.retry(actions.retry, chats, ask, **QUIET_EVENT),
        talk.chat.edit(actions.edit, chats, ask, **QUIET_EVENT),
        talk.go_on.click(actions.go_on, None, ask, **QUIET_EVENT),
    )
    for step in steps:
        answered = step.success(
            partial(answer, tab.engine, tab.template, tab.running[0]),
            [held.visitor, held.language, chats, ask, *tab.wishes],
            tab.outputs,
            **MODEL_EVENT,
        )
        keep(tab, answered).success(None, None, None, js=browser.FORGET_ASKED, **QUIET_EVENT)
    talk.box.stop(tab.running[0].stop, held.visitor, None, **QUIET_EVENT)
    return steps[0]


def wire_chats(tab: Tab) -> None:
    """Wire what changes the shown text at once."""
    engine, template, running = tab.engine, tab.template, tab.running[0]
    held, talk, manage, outputs, mine = tab.held, tab.talk, tab.manage, tab.outputs, tab.mine

    def switch(visitor: str, language: str, chats: Chats, event: gr.EventData) -> ChatFrame:
        return actions.switch_version(engine, running, visitor, language, chats, event)

    named = [held.language, held.chats]
    changed = (
        talk.chat.undo(partial(actions.undo, engine, running), mine, outputs, **QUIET_EVENT),
        talk.marks.click(switch, mine, outputs, **QUIET_EVENT),
        tab.bar.picker.input(
            partial(keeping.open_chat, engine, template, running),
            [*mine, tab.bar.picker], outputs, **QUIET_EVENT,
        ),
        manage.title.submit(
            partial(keeping.rename, engine), [*named, manage.title], outputs, **QUIET_EVENT
        ),
        manage.delete.click(
            partial(keeping.delete, engine, template, running), mine, outputs, **QUIET_EVENT
        ),
        manage.bring_back.click(
            partial(keeping.bring_back, engine), named, outputs, **QUIET_EVENT
        ),
        manage.take_in.upload(
            partial(keeping.take_in, engine, template, running),
            [*mine, manage.take_in], outputs, **QUIET_EVENT,
        ),
    )  # fmt: skip
    for step in changed:
        keep(tab, step)
    talk.earlier.click(partial(actions.show_earlier, engine), named, outputs, **QUIET_EVENT)
    written = gr.JSON(visible=False)
    manage.export.click(
        partial(keeping.export, engine), held.chats, written, **QUIET_EVENT
    ).success(None, written, None, js=keeping.SAVE_FILE, **QUIET_EVENT)
    manage.make_link.click(
        partial(actions.make_link, engine, template),
        named, [manage.link, talk.status], **QUIET_EVENT,
    ).success(None, manage.link, manage.link, js=_WHOLE_LINK, **QUIET_EVENT)  # fmt: skip
    exact = tab.who.exact
    exact.change(partial(exact_text, engine), [*named, exact], tab.exact, **QUIET_EVENT)


def wire_shelf(tab: Tab, keeper: gr.Button, ports: ShelfPorts) -> None:
    """Wire what goes to the shelf of kept memories, and what comes from it."""
    engine, held = tab.engine, tab.held
    wire_keep_button(
        keeper,
        partial(keep_chat, engine),
        [held.visitor, ports.shelf, held.chats, held.language],
        [ports.shelf, tab.talk.status],
    )
    taken = ports.handed.change(
        partial(keeping.go_on_from, engine, tab.running[0]),
        [*tab.mine, ports.handed],
        tab.outputs,
        **QUIET_EVENT,
    )
    start = tab.who.start
    begun = gr.on(
        [tab.talk.chat.clear, tab.bar.new.click, start.input],
        partial(keeping.begin_anew, engine, tab.running[0]),
        [*tab.mine, ports.shelf, start],
        tab.outputs,
        **QUIET_EVENT,
    )
    ports.shelf.change(keeping.starts, [ports.shelf, start, held.language], start, **QUIET_EVENT)
    for step in (taken, begun):
        keep(tab, step)


def wire_fork(tab: Tab, sent: Dependency) -> None:
    """Wire the second column, which can be asked what was sent in the first one."""
    engine, running, held, talk = tab.engine, tab.running[1], tab.held, tab.fork.talk
    mine, outputs = [held.visitor, held.language, held.beside], tab.outputs_beside

    def fork_here(language: str, chats: Chats, event: gr.EventData) -> list[Any]:
        shown, column = beside.fork_here(engine, language, chats, event)
        return [*shown, *column]

    def close(visitor: str, language: str) -> list[Any]:
        shown, column = beside.close(engine, running, visitor, language)
        return [*shown, *column]

    def keep_it(visitor: str, language: str, chats: Chats, fork: Chats) -> list[Any]:
        shown, (second, column) = beside.keep_and_close(
            engine, running, visitor, language, chats, fork
        )
        return [*shown, *second, *column]

    def switch(
        visitor: str, language: str, chats: Chats, event: gr.EventData
    ) -> beside.BesideFrame:
        return beside.beside_of(
            actions.switch_version(engine, running, visitor, language, chats, event)
        )

    def undo(visitor: str, language: str, chats: Chats) -> beside.BesideFrame:
        return beside.beside_of(actions.undo(engine, running, visitor, language, chats))

    def show_earlier(language: str, chats: Chats) -> beside.BesideFrame:
        return beside.beside_of(actions.show_earlier(engine, language, chats))

    ask = held.ask_beside
    both = [held.ask, tab.fork.both, held.pair_seed]
    steps = (
        talk.box.submit(actions.send, talk.box, ask, js=browser.send_from("fork"), **QUIET_EVENT),
        sent.success(beside.ask_both, both, ask, **QUIET_EVENT),
        talk.chat.retry(actions.retry, held.beside, ask, **QUIET_EVENT),
        talk.chat.edit(actions.edit, held.beside, ask, **QUIET_EVENT),
        talk.go_on.click(actions.go_on, None, ask, **QUIET_EVENT),
    )
    for step in steps:
        step.success(
            partial(beside.answer_beside, engine, tab.template, running),
            [*mine, ask, *tab.wishes],
            outputs,
            **MODEL_EVENT,
        )
    talk.box.stop(running.stop, held.visitor, None, **QUIET_EVENT)
    talk.chat.undo(undo, mine, outputs, **QUIET_EVENT)
    talk.marks.click(switch, mine, outputs, **QUIET_EVENT)
    talk.earlier.click(show_earlier, mine[1:], outputs, **QUIET_EVENT)
    closed = [*outputs, *tab.column]
    forked = tab.talk.marks.submit(fork_here, [held.language, held.chats], closed, **QUIET_EVENT)
    forked.success(None, None, None, js=_SHOW_FORK, **QUIET_EVENT)
    tab.fork.close.click(close, mine[:2], closed, **QUIET_EVENT)
    shown = [*tab.outputs, *closed]
    keep(tab, tab.fork.keep.click(keep_it, [*tab.mine, held.beside], shown, **QUIET_EVENT))


def keep(tab: Tab, step: Dependency) -> Dependency:
    """Let the browser keep what a step has changed, and show what goes with the open chat.

    Returns:
        The last step of it.
    """
    engine, held = tab.engine, tab.held

    def save(
        visitor: str, language: str, chats: Chats, saved: keeping.Saved, is_exact: bool
    ) -> tuple[str, str, keeping.Saved, dict[str, Any]]:
        # A link that was made before tells of another text.
        exact = exact_text(engine, language, chats, is_exact)
        is_answering = tab.running[0].has(visitor)
        return "", exact, *keeping.save(engine, chats, saved, is_answering=is_answering)

    kept: Dependency = step.then(
        save,
        [*tab.mine, held.saved, tab.who.exact],
        [tab.manage.link, tab.exact, held.saved, held.stored],
        **QUIET_EVENT,
    ).success(None, held.stored, None, js=browser.WRITE, **QUIET_EVENT)
    return kept


def wire_load(tab: Tab, page: gr.Blocks) -> None:
    """Wire what happens when the page is opened."""
    engine, template, held = tab.engine, tab.template, tab.held

    # Gradio finds the request by the type of a plain function's argument.
    def greet_visitor(request: gr.Request) -> list[Any]:
        return greet(engine, template, tab.why, request)

    def restore(request: gr.Request, kept: object) -> list[Any]:
        visitor, language = new_visitor(request), language_of(request)
        shown, saved = keeping.restore(engine, template, visitor, language, kept)
        return [*shown, saved]

    greeted = [
        held.language, tab.talk.chat, tab.talk.box, tab.fork.talk.box, tab.who.thinking,
        tab.who.start, tab.who.ready_made, tab.who.form,
    ]  # fmt: skip
    restored = page.load(greet_visitor, None, greeted, **QUIET_EVENT).then(
        restore, held.stored, [*tab.outputs, held.saved], js=browser.READ, **QUIET_EVENT
    )

    async def follow_link(request: gr.Request, chats: Chats) -> AsyncIterator[ChatFrame]:
        link = str(request.query_params.get("recipe", ""))
        if not link:
            yield ChatFrame(*(gr.skip() for _ in ChatFrame._fields))
            return
        visitor, language = new_visitor(request), language_of(request)
        async for shown in rebuild(
            engine, template, tab.running[0], visitor, language, chats, link
        ):
            yield shown

    restored.then(None, None, None, js=_IS_BACK, **QUIET_EVENT)
    followed = keep(tab, restored.then(follow_link, held.chats, tab.outputs, **MODEL_EVENT))
    followed.success(None, None, None, js=browser.LEAVE_LINK, **QUIET_EVENT)


def greet(
    engine: Engine, template: ChatTemplate, why: Choice, request: gr.Request | None
) -> list[Any]:
    """Greet a visitor in the browser's language: what the browser cannot translate by itself."""
    language = language_of(request)
    return [
        language,
        gr.update(placeholder=greeting(engine, language)),
        box_for(language),
        box_for(language),
        gr.update(choices=thinking_choices(template, language)),
        keeping.starts(Shelf(), None, language),
        gr.update(choices=persona_choices(language)),
        form_note(why, language),
    ]
