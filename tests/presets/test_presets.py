from pathlib import Path

import pytest

import presets
from rwkv_core.errors import SettingsError
from rwkv_core.tokenizer import load_tokenizer
from tests.pile_vocabulary import write_pile_tokenizer


def test_the_shipped_sampling_presets_are_named_in_plain_words() -> None:
    shipped = presets.sampling_presets()
    assert [preset.name for preset in shipped] == ["Precise", "Balanced", "Wild"]
    temperatures = [preset.settings.temperature for preset in shipped]
    assert temperatures == sorted(temperatures)
    assert all(preset.summary and 1 <= preset.max_tokens <= 4096 for preset in shipped)


def test_a_chat_is_written_in_the_form_the_model_was_trained_on() -> None:
    template = presets.chat_template()
    text = template.opening("You are Pip.") + template.user_turn("Hi", first=True) + " Hello!"
    text += template.user_turn("Bye", first=False)
    assert text == (
        "System: You are Pip.\n\nUser: Hi\n\nAssistant: Hello!\n\nUser: Bye\n\nAssistant:"
    )


def test_no_persona_leaves_no_opening() -> None:
    assert presets.chat_template().opening("  \n") == ""


def test_a_user_cannot_end_a_turn_with_blank_lines() -> None:
    assert presets.chat_template().clean("\r\na\r\n\r\n\nb\n\n") == "a\nb"


def test_braces_in_a_message_stay_as_they_are() -> None:
    assert "{text} {0}" in presets.chat_template().user_turn("{text} {0}", first=True)


def test_every_tab_has_examples() -> None:
    shipped = presets.examples()
    assert len(shipped.chat) == 4
    assert len({beginning.language for beginning in shipped.completion}) >= 8
    assert all(beginning.text.strip() for beginning in shipped.completion)
    assert all(example.title and example.text for example in shipped.inspector)


def test_the_default_model_lies_in_the_presets_folder() -> None:
    assert presets.default_model_path().parent.parent == Path(presets.__file__).parent


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("preset = []", r"no \[\[preset\]\]"),
        ("preset = 3", "'preset' should be list, found int"),
        ("[[preset]]\nname = 3", "'name' should be str"),
        ('[[preset]]\nname = "A"\n[preset.settings]\nheat = 1', "unknown key"),
        ('[[preset]]\nname = "A"\n[preset.settings]\ntemperature = -1', "temperature"),
        ("[[preset", "cannot be read"),
    ],
)
def test_a_broken_sampling_file_is_refused_in_words(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "sampling.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=says):
        presets.sampling_presets(path)


def test_a_template_without_its_placeholder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chat_templates.toml"
    path.write_text('[chat]\nopening = "{persona}"\nfirst_turn = "User:"\nnext_turn = "{text}"')
    with pytest.raises(SettingsError, match=r"\{text\} 0 times"):
        presets.chat_template(path=path)


def test_an_unknown_template_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="'bob' should be dict"):
        presets.chat_template("bob")


@pytest.mark.parametrize(
    ("model", "vocabulary", "template"),
    [
        ("rwkv7-g1a-0.1b-20250728-ctx4096.pth", "World", "thinking"),
        ("rwkv7-g0a-7.2b.pth", "world", "thinking"),
        ("rwkv7-g1a4-2.9b-20251118-ctx8192", "World", "thinking"),
        ("RWKV-7-G1-0.1B", "World", "thinking"),
        ("ag1.pth", "World", "chat"),
        ("rwkv7-g12b.pth", "World", "chat"),
        ("rwkv7-g1a-0.1b.pth", "tokenizer.json", "chat"),
        ("RWKV-x070-World-0.1B-v2.8.pth", "world", "chat"),
        ("big1.pth", "world", "chat"),
        ("RWKV-4-Pile-169M-20220807-8023.pth", "20B_tokenizer.json", "pile"),
        ("model.safetensors", "tokenizer.json", "chat"),
    ],
)
def test_a_model_gets_the_template_of_its_family_and_the_reason(
    model: str, vocabulary: str, template: str
) -> None:
    chosen, why = presets.chat_template_for(model, vocabulary)
    assert why.value == template
    assert why.reason
    assert bool(chosen.thinking) == (template == "thinking")


def test_families_ask_for_the_names_that_vocabularies_have(tmp_path: Path) -> None:
    world, _ = load_tokenizer(None, 65536)
    assert presets.chat_template_for("rwkv7-g1d-0.1b", world.name)[1].value == "thinking"
    assert presets.chat_template_for("RWKV-4-Pile-169M", world.name)[1].value == "chat"
    # As Hugging Face's folders and the Hub's cache name the file.
    pile, _ = load_tokenizer(write_pile_tokenizer(tmp_path / "tokenizer.json").parent, 50277)
    assert presets.chat_template_for("rwkv-4-169m-pile", pile.name)[1].value == "pile"
    assert presets.chat_template_for("rwkv7-g1d-0.1b", pile.name)[1].value == "chat"


def test_a_thinking_template_ends_the_prompt_as_its_makers_say() -> None:
    template = presets.chat_template("thinking")
    assert template.thinking == {"fast": " <think>\n</think", "think": " <think"}
    assert template.thinking_stop == ("\n\nUser:",)
    assert template.answer("\n\nParis. ") == " Paris."


def test_every_persona_has_a_name_in_every_language() -> None:
    assert all(set(persona.name) == {"en", "zh", "ja"} for persona in presets.personas())
    template = presets.chat_template()
    assert all(template.opening(persona.text) for persona in presets.personas())
