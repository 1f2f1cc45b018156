"""Another page in the place of the one that is served, while visitors are connected."""

from weakref import WeakKeyDictionary

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.blocks import BlocksConfig
from gradio.queueing import ProcessTime

from ui.lean_sessions import LeanSession

# What makes a page; the rest of a `gr.Blocks` is its server, queue, look and visitors.
_CONTENT = (
    "default_config", "children", "app_id", "temp_file_sets", "upload_file_set", "renderables",
)  # fmt: skip


class _ProcessTimes(WeakKeyDictionary[BlockFunction, ProcessTime]):
    """How long each handler takes, as the queue notes it, without keeping any handler alive.

    The queue notes a time after the answer has left, so possibly after the page was replaced.
    """

    def __getitem__(self, fn: BlockFunction) -> ProcessTime:
        """Look a handler's time up, or begin with none."""
        return self.setdefault(fn, ProcessTime())  # type: ignore[no-untyped-call]


def make_replaceable(page: gr.Blocks) -> None:
    """Prepare a page that has its queue, before it is launched, for others in its place.

    A handler is a way to all that it holds, its engine above all, so the queue must keep none.
    Gradio looks ten times a second for progress of running handlers, and keeps the last one it saw
    until it sees another. No handler here tells its progress that way.
    """

    async def look_for_none() -> None:
        """Not even once."""

    page._queue.start_progress_updates = look_for_none  # type: ignore[method-assign]
    page._queue.process_time_per_fn = _ProcessTimes()  # type: ignore[assignment]


def replace_page(served: gr.Blocks, new: gr.Blocks) -> None:
    """Serve another page from now on, under the same address.

    Whoever has the old page open keeps it, with its components and handlers, until they load it
    again: a session looks into its own copy of the configuration (see ui.lean_sessions). What
    cannot be answered there any more, its engine refuses in one sentence.

    Args:
        served: has been launched, and made replaceable before.
        new: has not.
    """
    for name in _CONTENT:
        setattr(served, name, getattr(new, name))
    served.default_config.root_block = served
    served.config = served.get_config_file()
    _empty(new)
    for session in list(served.app.state_holder.session_data.values()):
        if isinstance(session, LeanSession) and session.is_closed:
            session.let_go()
    if served.mcp_server_obj is not None:
        # Its own client knows the old page.
        served.mcp_server_obj._client_instance = None


def _empty(shell: gr.Blocks) -> None:
    """Take the content out of a `gr.Blocks`, which caches of FastAPI keep for ever."""
    shell.default_config = BlocksConfig(shell)
    shell.children, shell.temp_file_sets = [], []
    vars(shell)["config"] = {}
