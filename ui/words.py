"""Which language a visitor reads, and texts that the browser translates by itself."""

import gradio as gr
from gradio.i18n import I18nData

from presets.words import FIGURES, RUNTIME, words
from presets.words import language_of as language_of_header

# What browsers call the languages of the page.
_BROWSER_NAMES = {"zh": ("zh-CN", "zh-TW", "zh")}


def say(key: str) -> I18nData:
    """A text for a component's label, value, placeholder or hint, put into words by the browser.

    Text that a handler returns is not translated there: use `presets.words.speak` with the
    visitor's `language_of`.

    Raises:
        KeyError: no such text.
    """
    if key not in words()["en"]:
        raise KeyError(f"no text {key!r} in presets/words")
    return I18nData(key)


def say_title(title: str) -> I18nData | str:
    """The title of a ready-made text, put into words by the browser; one that nobody knows as it is."""
    known = words()["en"].items()
    keys = (key for key, text in known if key.startswith("example.") and text == title)
    key = next(keys, None)
    return title if key is None else say(key)


def translations() -> gr.I18n:
    """Every text that the browser puts into words, in every language, for `launch`."""
    return gr.I18n(
        **{
            name: {
                key: text for key, text in texts.items() if not key.startswith((*RUNTIME, FIGURES))
            }
            for language, texts in words().items()
            for name in _BROWSER_NAMES.get(language, (language,))
        }
    )


def language_of(request: gr.Request | None) -> str:
    """The first language of the visitor's browser that the page speaks; English if none."""
    header = str(request.headers.get("accept-language", "")) if request is not None else ""
    return language_of_header(header)
