"""The web page: layout, wiring and words. No model maths lives here."""

import gradio as gr

from rwkv_core.engine import Engine
from rwkv_core.sessions import Conversation
from ui.chat_tab import build_chat_tab
from ui.completion_tab import build_completion_tab
from ui.endpoints import build_endpoints
from ui.kept_settings import browser_state
from ui.late_application import LatePage, without_applications
from ui.masthead import build_masthead
from ui.models_desk import Desk
from ui.models_tab import build_models_tab
from ui.quiet_errors import keep_texts_from_the_log
from ui.session import QUIET_EVENT, new_visitor
from ui.shelf_card import PREPARE, build_shelf, new_ports
from ui.unread import forget_unread
from ui.words import language_of, say

TITLE = "RWKV playground"
# How often the queue looks for events. Gradio does so a thousand times a second, for which an idle
# page keeps a tenth of a core busy; nobody feels a hundredth of a second.
SECONDS_BETWEEN_LOOKS = 0.01


def build_app(
    engine: Engine, name: str = "", *, desk: Desk, may_read_ahead: bool = False
) -> gr.Blocks:
    """Build the page and its queue; `launch` serves it, with the theme and style of `ui.theme`.

    Args:
        engine: runs the model.
        name: what to call the model; its file's name when empty.
        desk: for choosing, fetching and changing models.
        may_read_ahead: whether drafts may be sent and read while visitors type them.
    """
    # The plots' library is slow to import and only the page needs it, not its handlers.
    from ui.inspector_tab import build_inspector_tab

    def forget(request: gr.Request) -> None:
        engine.drop_session(new_visitor(request))

    page: LatePage
    with (
        without_applications(),
        LatePage(title=TITLE, analytics_enabled=False, delete_cache=(3600, 3600)) as page,
    ):
        visitor, conversation = gr.State(""), gr.State(Conversation())
        ports, kept = new_ports(), browser_state("completion-settings")
        opener = build_masthead(engine, name, page, is_watchful=desk.is_open)
        with gr.Tabs(elem_classes="tabs") as tabs:
            with gr.Tab(say("page.chat"), id="chat", elem_id="tab-chat"):
                build_chat_tab(
                    engine, page, visitor, conversation, ports, may_read_ahead=may_read_ahead
                )
            with gr.Tab(say("page.completion"), id="completion", elem_id="tab-completion"):
                build_completion_tab(
                    engine, page, kept, visitor, ports, may_read_ahead=may_read_ahead
                )
            with gr.Tab(say("page.inspector"), id="inspector", elem_id="tab-inspector"):
                build_inspector_tab(engine, visitor, conversation, ports.shelf)
            with gr.Tab(say("models.tab"), id="models", elem_id="tab-models"):
                build_models_tab(desk, page)
        build_shelf(engine, page, visitor, ports, opener, tabs)
        build_endpoints(engine, desk.limits.requests)
        page.load(new_visitor, None, visitor, js=PREPARE, **QUIET_EVENT)
        page.load(language_of, None, ports.language, **QUIET_EVENT)
        page.unload(forget)
        page.queue(max_size=desk.limits.requests.events)
        page._queue.sleep_when_free = SECONDS_BETWEEN_LOOKS
        forget_unread(page)
        keep_texts_from_the_log()
    return page
