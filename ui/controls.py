"""How the next word is chosen: a choice of three in plain words, the numbers folded away."""

from collections.abc import Sequence
from typing import NamedTuple

import gradio as gr

from presets import SamplingPreset, sampling_presets
from rwkv_core.errors import SettingsError
from rwkv_core.generate import GenerationSettings
from rwkv_core.sampling import SamplingSettings
from ui.session import QUIET_EVENT


class Controls(NamedTuple):
    """The numbers behind an answer, in the order handlers receive them."""

    temperature: float
    top_p: float
    top_k: float
    presence_penalty: float
    frequency_penalty: float
    penalty_decay: float
    max_tokens: float
    seed: float


def controls_of(preset: SamplingPreset) -> Controls:
    """Numbers of a preset, with a random seed."""
    s = preset.settings
    return Controls(
        s.temperature, s.top_p, s.top_k, s.presence_penalty, s.frequency_penalty,
        s.penalty_decay, preset.max_tokens, -1,
    )  # fmt: skip


def generation_settings(values: Sequence[float], stop: tuple[str, ...] = ()) -> GenerationSettings:
    """Build settings from what the controls hold.

    Args:
        values: as in Controls; a seed below 0 means a random one.
        stop: texts that end the answer.

    Raises:
        SettingsError: a value is missing or outside its range.
    """
    try:
        c = Controls(*values)
        seed = int(c.seed)
        sampling = SamplingSettings(
            c.temperature, c.top_p, int(c.top_k), c.presence_penalty, c.frequency_penalty,
            c.penalty_decay, seed=seed if seed >= 0 else None,
        )  # fmt: skip
        return GenerationSettings(sampling, max_tokens=int(c.max_tokens), stop=stop)
    except (TypeError, OverflowError) as error:
        raise SettingsError("a fine control is empty; choose a preset to fill it again") from error


def preset_named(name: str) -> SamplingPreset:
    """Find a sampling preset by its name.

    Raises:
        SettingsError: no such preset.
    """
    presets = sampling_presets()
    for preset in presets:
        if preset.name == name:
            return preset
    known = ", ".join(preset.name for preset in presets)
    raise SettingsError(f"there is no preset {name!r}; choose one of {known}")


def choose_preset(name: str) -> Controls:
    """Fill the fine controls from a preset."""
    return controls_of(preset_named(name))


def build_controls() -> list[gr.components.Component]:
    """Lay out presets and fine controls; returns the numbers in the order of Controls."""
    presets = sampling_presets()
    start = next((p for p in presets if p.name == "Balanced"), presets[0])
    value = controls_of(start)
    choice = gr.Radio(
        [preset.name for preset in presets],
        value=start.name,
        label="How it chooses words",
        info=" ".join(f"{preset.name}: {preset.summary}." for preset in presets),
        elem_classes="segmented",
    )
    with gr.Accordion("Fine controls", open=False, elem_classes="quiet"):
        numbers: list[gr.components.Component] = [
            gr.Slider(0, 2, value.temperature, step=0.05, label="Temperature",
                      info="0 always takes the likeliest word; higher takes more chances."),
            gr.Slider(0, 1, value.top_p, step=0.01, label="Top-p",
                      info="Choose among the likeliest words that together reach this share."),
            gr.Slider(0, 500, value.top_k, step=1, label="Top-k",
                      info="Choose among at most this many words; 0 sets no limit."),
            gr.Slider(0, 2, value.presence_penalty, step=0.05, label="Presence penalty",
                      info="Holds back every word it has already used."),
            gr.Slider(0, 2, value.frequency_penalty, step=0.05, label="Frequency penalty",
                      info="Holds back a word more each time it is used."),
            gr.Slider(0.8, 1, value.penalty_decay, step=0.001, label="Penalty decay",
                      info="How long penalties last; 1 never lets go."),
            gr.Slider(16, 1000, value.max_tokens, step=1, label="Longest answer",
                      info="In tokens, which are words or pieces of words."),
            gr.Number(value.seed, precision=0, label="Seed",
                      info="-1 draws a new one each time; the same seed repeats the answer."),
        ]  # fmt: skip
    choice.change(choose_preset, choice, numbers, **QUIET_EVENT)
    return numbers
