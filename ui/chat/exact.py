"""The exact text that the model sees, roles and all."""

from html import escape

from presets.words import speak
from rwkv_core.engine import Engine
from ui.chat.values import Chats

MAX_SHOWN = 20_000


def exact_text(engine: Engine, language: str, chats: Chats, is_wanted: bool) -> str:
    """Show the text that the memory was made from, thoughts of the last answer included.

    Args:
        engine: decodes ids.
        language: of the page.
        chats: the open one is shown.
        is_wanted: whether the visitor wants to see it.
    """
    if not is_wanted:
        return ""
    talk = chats.current.conversation
    if not talk.turns:
        return f'<p class="note">{escape(speak(language, "chat.exact_none"))}</p>'
    last, ids = talk.turns[-1], talk.ids
    if last.live_ids:
        ids = ids[: len(ids) - len(last.answer_ids)] + last.live_ids
    start = f"⟨{speak(language, 'chat.exact_start')}⟩"
    is_start = ids[0] == engine.tokenizer.end_of_text
    text = engine.tokenizer.decode(ids[1:] if is_start else ids)
    hidden = max(0, len(text) - MAX_SHOWN)
    lead = f"<i>{escape(start)}</i>" if is_start and not hidden else ""
    cut = speak(language, "chat.exact_cut", count=f"{hidden:,}") if hidden else ""
    note = f'<p class="note">{escape(cut)}</p>' if cut else ""
    return f'{note}<pre class="exact" tabindex="0">{lead}{escape(text[hidden:])}</pre>'
