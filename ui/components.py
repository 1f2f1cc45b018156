"""Pieces of the page that several tabs share, as escaped HTML, and errors as sentences."""

from collections.abc import Sequence
from html import escape
from math import sqrt

import gradio as gr

from presets.words import speak, translated
from rwkv_core.config import ModelConfig
from rwkv_core.engine import Engine
from rwkv_core.errors import RwkvError
from rwkv_core.inspection import kv_cache_bytes
from rwkv_core.streams import StreamStatus

TINY_PARAMETERS = 50_000_000
_BYTE_UNITS = ("bytes", "kB", "MB", "GB")
# How large numbers are said: for each language the steps, largest first.
_NUMBER_WORDS = {
    "en": ((10**9, " billion"), (10**6, " million")),
    "zh": ((10**8, " 亿"), (10**4, " 万")),
    "ja": ((10**8, " 億"), (10**4, " 万")),
}


def sentence(error: RwkvError, language: str = "en") -> str:
    """Write an error as one sentence in a language: capital letter, full stop; names stay."""
    text = translated(language, error).strip() or speak(language, "error.something_wrong")
    stop = "." if language == "en" else "。"
    is_name = not text.split()[0].rstrip(",:;").isalpha()
    return (
        (text[0] if is_name else text[0].upper()) + text[1:] + ("" if text[-1] in ".!?。" else stop)
    )


def as_gradio_error(error: RwkvError) -> gr.Error:
    """Turn an error into what an API client sees."""
    return gr.Error(sentence(error), print_exception=False)


def error_line(error: RwkvError, language: str) -> str:
    """Show an error where its cause is; screen readers announce it."""
    return f'<p class="status is-error" role="alert">{escape(sentence(error, language))}</p>'


def bytes_text(count: int) -> str:
    """Write a number of bytes for people: 304128 -> "304 kB"."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_BYTE_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    digits = 1 if unit > 0 and value < 100 else 0
    return f"{value:.{digits}f} {_BYTE_UNITS[unit]}".replace(".0 ", " ")


def parameters_text(count: int, language: str = "en") -> str:
    """Write a number of parameters: 4600000 -> "4.6 million"."""
    if count < 1e5:
        return f"{count:,}"
    steps = _NUMBER_WORDS[language]
    scale, word = next((step for step in steps if count >= step[0]), steps[-1])
    digits = 1 if count < 100 * scale else 0
    return f"{count / scale:,.{digits}f}{word}"


def words_in(text: str) -> int:
    """Count words, as people do: what stands between blanks."""
    return len(text.split())


def banner(engine: Engine, name: str = "", language: str = "en") -> str:
    """Say which model runs, where, and why there; opens to the details.

    Args:
        engine: runs the model.
        name: what to call the model; its file's name when empty.
        language: the visitor's.
    """
    model, choices = engine.model, engine.choices
    config, devices = model.config, choices["device"].value.split(" and ")
    places = ("CPU" if device == "cpu" else f"GPU ({device})" for device in devices)
    place = speak(language, "page.and").join(places)
    is_tiny = model.parameters < TINY_PARAMETERS
    size = speak(
        language,
        "page.parameters_tiny" if is_tiny else "page.parameters",
        count=parameters_text(model.parameters, language),
    )
    rows = "".join(
        f"<div><dt>{escape(speak(language, f'page.{label}'))}</dt>"
        f"<dd><b>{escape(value)}</b> {escape(translated(language, reason))}</dd></div>"
        for label, value, reason in _facts(engine, place, language)
    )
    note = speak(
        language, "page.tiny_model" if is_tiny and name else "page.other_model", command="{}"
    )
    note = escape(note, quote=False).format("<code>python app.py --model FILE</code>")
    why, close = escape(speak(language, "page.why")), escape(speak(language, "page.close"))
    return f"""<details class="banner">
<summary><span class="banner-name">{escape(name or model.name)}</span>
<span>RWKV-{escape(config.generation)}</span><span>{escape(size)}</span>
<span>{escape(speak(language, "page.on", place=place))}</span>
<span class="when-closed">{why}</span><span class="when-open">{close}</span></summary>
<div class="banner-body"><dl>{rows}</dl><p>{note}</p></div></details>"""


def _facts(engine: Engine, place: str, language: str) -> list[tuple[str, str, str]]:
    """Name, value and reason of each line of the banner."""
    model, choices = engine.model, engine.choices
    config = model.config
    where, numbers, kernel = (choices[key] for key in ("device", "dtype", "kernel"))
    memory = speak(language, "page.memory_size", count=f"{config.state_bytes:,}")
    shape = speak(language, "page.shape_size", layers=config.n_layer, channels=config.n_embd)
    weights = bytes_text(model.weight_bytes)
    vocabulary = speak(language, "page.shape_note", tokens=f"{config.vocab_size:,}", bytes=weights)
    facts = [
        ("runs_on", place, where.reason),
        ("numbers", numbers.value, numbers.reason if numbers.reason != where.reason else ""),
        ("operators", kernel.value, kernel.reason),
        ("memory", memory, speak(language, "page.memory_note")),
        ("shape", shape, vocabulary),
    ]
    further = ("weights", "tokenizer", "state")
    return facts + [(key, *choices[key]) for key in further if key in choices]


def memory_card(
    config: ModelConfig,
    words: int,
    tokens: int,
    change: Sequence[float] = (),
    *,
    language: str = "en",
) -> str:
    """Show the memory, which does not grow, and one cell per layer.

    Args:
        config: sizes of the model.
        words: words read and written in this text so far.
        tokens: tokens of them.
        change: per layer, how much the last token changed it relative to its size; empty at rest.
        language: the visitor's.
    """
    cells = "".join(f'<i style="--glow:{g:.2f}"></i>' for g in _glows(change, config.n_layer))
    grown = bytes_text(kv_cache_bytes(config.n_layer, config.n_embd, tokens))
    key = "memory.transformer" if tokens else "memory.transformer_grows"
    other = escape(speak(language, key, grown=grown)).replace(grown, f"<b>{grown}</b>")
    # A memory from the shelf has read something, though no words of it are shown.
    kind, count = ("words", words) if words or tokens <= 1 else ("tokens", tokens)
    read = speak(
        language,
        f"memory.after_one_{kind}" if count == 1 else f"memory.after_{kind}",
        count=f"{count:,}",
    )
    title, note = speak(language, "memory.title"), speak(language, "memory.note")
    return f"""<section class="memory" aria-label="{escape(speak(language, "memory.label"))}">
<h2>{escape(title)}</h2>
<p class="memory-size">{bytes_text(config.state_bytes)} <span>{escape(read)}</span></p>
<div class="layers{" is-awake" if change else ""}" aria-hidden="true">{cells}</div>
<p class="memory-note">{escape(note)} {other}</p></section>"""


def _glows(change: Sequence[float], n_layer: int) -> list[float]:
    """Brightness 0 to 1 per layer; the root keeps small changes visible."""
    if not change:
        return [0.0] * n_layer
    return [min(1.0, sqrt(max(0.0, value))) for value in change]


def status_line(text: str = "") -> str:
    """One quiet line under the input."""
    return f'<p class="status">{escape(text)}</p>'


def progress_line(status: StreamStatus, language: str) -> str:
    """Say what a running stream is doing."""
    if status.phase == "waiting":
        place = max(1, status.queue_position)
        return status_line(speak(language, "chat.waiting", place=place))
    if status.phase == "reading" and status.tokens_to_read > status.tokens_read:
        read, whole = f"{status.tokens_read:,}", f"{status.tokens_to_read:,}"
        return status_line(speak(language, "chat.reading", read=read, whole=whole))
    return status_line(speak(language, "chat.writing"))


def visible(text: str) -> str:
    """Show a token's blanks: spaces at its ends and line ends get a sign."""
    return text.replace("\n", "↵").replace(" ", "␣") if text.strip() == "" else text.strip()


def percent(chance: float) -> str:
    """Write a probability: 0.123 -> "12 %", with a sign for the very small."""
    return "< 0.1 %" if chance < 0.001 else f"{100 * chance:.{1 if chance < 0.1 else 0}f} %"
