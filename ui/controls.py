"""How the next word is chosen: a choice in plain words, the numbers folded away."""

import json
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import gradio as gr
from gradio.events import Dependency

from presets import SamplingPreset, sampling_presets
from presets.catalogue import ADVISED, first_preset, presets_for
from rwkv_core.errors import SettingsError
from rwkv_core.generate import GenerationSettings
from rwkv_core.sampling import SamplingSettings
from ui.session import QUIET_EVENT
from ui.words import say


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


def preset_named(name: str, presets: Sequence[SamplingPreset] = ()) -> SamplingPreset:
    """Find a sampling preset by its name.

    Args:
        name: as shown in English.
        presets: on offer; empty for the shipped ones.

    Raises:
        SettingsError: it is not on offer.
    """
    presets = presets or sampling_presets()
    for preset in presets:
        if preset.name == name:
            return preset
    known = ", ".join(preset.name for preset in presets)
    raise SettingsError(
        "there is no preset {name!r}; choose one of {known}", name=name, known=known
    )


def choose_preset(name: str, presets: Sequence[SamplingPreset] = ()) -> Controls:
    """Fill the fine controls from a preset; as `preset_named`."""
    return controls_of(preset_named(name, presets))


# Of the numbers, those that say how words are chosen; how many and by which seed is another matter.
_SAMPLING = 6
_NAME_OF_NUMBERS = """(...numbers) => (%s.find(([, held]) =>
  held.every((number, at) => Math.abs(number - numbers[at]) < 1e-9)) ?? [null])[0]"""


class Chooser(NamedTuple):
    """Where a visitor says how words are chosen.

    Attributes:
        preset: a choice of three, or four where the model's makers recommend something.
        numbers: in the order of `Controls`.
        filled: when a preset has filled the numbers.
    """

    preset: gr.Radio
    numbers: list[gr.components.Component]
    filled: Dependency

    @property
    def named(self) -> dict[str, gr.components.Component]:
        """Every control by name."""
        return {"preset": self.preset, **dict(zip(Controls._fields, self.numbers, strict=True))}


def build_controls(model: str) -> Chooser:
    """Lay out presets and fine controls.

    Args:
        model: its name; what its makers recommend is on offer where it is known.
    """
    presets = presets_for(model)
    start = first_preset(presets)
    value = controls_of(start)
    choice = gr.Radio(
        [(say(f"controls.{preset.name.lower()}"), preset.name) for preset in presets],
        value=start.name,
        label=say("controls.choice"),
        info=say("controls.advised_hint" if start.name == ADVISED else "controls.choice_hint"),
        elem_classes="segmented",
    )
    ranges = {
        "temperature": (0, 2, 0.05),
        "top_p": (0, 1, 0.01),
        "top_k": (0, 500, 1),
        "presence_penalty": (0, 2, 0.05),
        "frequency_penalty": (0, 2, 0.05),
        "penalty_decay": (0.8, 1, 0.001),
        "max_tokens": (16, 1000, 1),
    }
    with gr.Accordion(say("controls.fine"), open=False, elem_classes=["quiet", "fine-controls"]):
        numbers: list[gr.components.Component] = [
            gr.Slider(
                low, high, getattr(value, name), step=step, label=say(f"controls.{name}"),
                info=say(f"controls.{name}_hint"),
            )
            for name, (low, high, step) in ranges.items()
        ]  # fmt: skip
        seed = gr.Number(
            value.seed, precision=0, label=say("controls.seed"), info=say("controls.seed_hint")
        )
    numbers.append(seed)
    # Not `change`: settings that come back set the preset too, and keep their own numbers.
    filled = choice.input(partial(choose_preset, presets=presets), choice, numbers, **QUIET_EVENT)
    _name_numbers(choice, numbers[:_SAMPLING], presets)
    return Chooser(choice, numbers, filled)


def _name_numbers(
    choice: gr.Radio, numbers: Sequence[gr.components.Component], presets: Sequence[SamplingPreset]
) -> None:
    """Keep that preset chosen whose numbers stand in the fine controls, whoever set them, or none."""
    known = [(preset.name, controls_of(preset)[:_SAMPLING]) for preset in presets]
    changed = [number.change for number in numbers]  # type: ignore[attr-defined]
    js = _NAME_OF_NUMBERS % json.dumps(known)
    gr.on(changed, None, list(numbers), choice, js=js, trigger_mode="always_last", **QUIET_EVENT)
