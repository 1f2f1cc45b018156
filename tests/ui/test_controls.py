import math
from pathlib import Path

import gradio as gr
import pytest

from presets import sampling_presets
from presets.catalogue import ADVISED, catalogue, presets_for
from presets.words import speak
from rwkv_core.errors import SettingsError
from ui.controls import (
    Controls,
    build_controls,
    choose_preset,
    controls_of,
    generation_settings,
    preset_named,
)


def test_a_preset_and_its_numbers_mean_the_same() -> None:
    for preset in sampling_presets():
        settings = generation_settings(controls_of(preset), ("\n\n",))
        assert settings.sampling == preset.settings
        assert settings.max_tokens == preset.max_tokens
        assert settings.stop == ("\n\n",)


def test_choosing_a_preset_fills_every_number() -> None:
    assert choose_preset("Wild") == controls_of(preset_named("Wild"))


def test_the_hint_says_what_the_presets_are() -> None:
    told = " ".join(f"{preset.name}: {preset.summary}." for preset in sampling_presets())
    assert speak("en", "controls.choice_hint") == told


def test_what_the_makers_of_a_model_recommend_is_on_offer_and_chosen_first() -> None:
    model = catalogue()[0]
    name = Path(model.file).stem
    with gr.Blocks():
        chooser = build_controls(name)
        other = build_controls("mine")
    assert [value for _, value in chooser.preset.choices] == [
        ADVISED, *(preset.name for preset in sampling_presets())
    ]  # fmt: skip
    assert (chooser.preset.value, other.preset.value) == (ADVISED, "Balanced")
    shown = generation_settings([number.value for number in chooser.numbers])
    assert shown.sampling == model.sampling
    # Coming back from another choice fills the same numbers.
    assert choose_preset(ADVISED, presets_for(name)) == Controls(
        *(number.value for number in chooser.numbers)
    )
    with pytest.raises(SettingsError, match="'Advised'; choose one of Precise, Balanced, Wild"):
        choose_preset(ADVISED, presets_for("mine"))


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="'Mild'; choose one of Precise, Balanced, Wild"):
        preset_named("Mild")


def test_a_seed_is_used_and_minus_one_is_none() -> None:
    controls = choose_preset("Balanced")
    assert generation_settings(controls).sampling.seed is None
    assert generation_settings(controls._replace(seed=5)).sampling.seed == 5


@pytest.mark.parametrize("bad", [{"seed": None}, {"top_k": math.inf}, {"temperature": "hot"}])
def test_an_empty_or_foreign_number_gets_a_sentence(bad: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="choose a preset"):
        generation_settings(choose_preset("Balanced")._replace(**bad))


def test_numbers_outside_their_range_are_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="max_tokens"):
        generation_settings(choose_preset("Balanced")._replace(max_tokens=0))
    with pytest.raises(SettingsError, match="top_p"):
        generation_settings(choose_preset("Balanced")._replace(top_p=math.nan))
