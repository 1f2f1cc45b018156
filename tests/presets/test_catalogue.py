from pathlib import Path

import pytest

from presets import chat_template, chat_template_for, sampling_presets
from presets.catalogue import CatalogueModel, catalogue, presets_for, read_catalogue
from rwkv_core.errors import SettingsError

MODELS = catalogue()
# What a zip archive of tensors takes beyond them; the largest file has 1,900.
LARGEST_OVERHEAD = 400_000
# From the papers and the runtimes that read these files, not from the code under test.
PUBLISHED = {
    "RWKV-4 Pile 169M": 169_342_464,
    "RWKV-4 Pile 430M": 430_397_440,
    "RWKV-4 Pile 1.5B": 1_515_106_304,
    "RWKV-4 Pile 3B": 2_984_627_200,
    "RWKV-4 Pile 7B": 7_392_649_216,
    "RWKV-4 Pile 14B": 14_148_597_760,
    "RWKV-4 World 0.1B": 192_780_288,
    "RWKV-4 World 0.4B": 461_647_872,
    "RWKV-4 World 1.5B": 1_577_607_168,
    "RWKV-4 World 3B": 3_062_753_280,
    "RWKV-4 World 7B": 7_517_650_944,
    "RWKV-5 World 0.4B": 461_721_600,
    "RWKV-5 World 1.5B": 1_577_754_624,
    "RWKV-5 World 3B": 3_062_999_040,
    "RWKV-5 World 7B": 7_518_044_160,
    "RWKV-6 World 1.6B": 1_599_873_024,
    "RWKV-6 World 3B": 3_099_863_040,
    "RWKV-6 World 7B": 7_635_746_816,
    "RWKV-6 World 14B": 14_069_088_256,
    "RWKV-7 G1 0.1B": 191_084_544,
    "RWKV-7 G1 0.4B": 450_834_432,
    "RWKV-7 G1 1.5B": 1_527_668_736,
    "RWKV-7 G1 2.9B": 2_948_065_280,
    "RWKV-7 G1 7.2B": 7_199_932_416,
    "RWKV-7 G1 13.3B": 13_270_298_624,
}


def test_every_released_generation_is_there() -> None:
    assert {model.sizes.generation for model in MODELS} == {"4", "5.0", "5.2", "6", "7"}
    families = {model.family for model in MODELS}
    assert {"RWKV-4 Pile", "RWKV-4 World", "RWKV-5 World", "RWKV-6 World"} <= families
    assert {"RWKV-7 Pile", "RWKV-7 World", "RWKV-7 G1"} <= families


@pytest.mark.parametrize("title", PUBLISHED)
def test_computed_counts_are_the_published_ones(title: str) -> None:
    model = next(model for model in MODELS if model.title == title)
    assert model.numbers_in_file == PUBLISHED[title]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.file)
def test_a_stated_size_is_two_bytes_a_number_and_a_little(model: CatalogueModel) -> None:
    assert 0 <= model.bytes_to_fetch - 2 * model.numbers_in_file < LARGEST_OVERHEAD


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.file)
def test_a_name_says_what_the_entry_says(model: CatalogueModel) -> None:
    # Years of files whose names bear the context; the oldest do not.
    assert not model.context or f"ctx{model.context}" in model.file
    chosen, _ = chat_template_for(model.file.removesuffix(".pth"), model.tokenizer)
    assert chosen == chat_template(model.template)
    assert presets_for(model.file.removesuffix(".pth"))[0].settings == model.sampling


def test_an_unknown_model_has_the_shipped_presets_alone() -> None:
    assert presets_for("nobody") == sampling_presets()


GOOD = """
[[family]]
name = "A"
about = "a"
repository = "o/n"
generation = "7"
vocabulary = 64
tokenizer = "world"
template = "chat"
licence = "Apache-2.0"
sampling = { top_p = 0.3 }
[[family.model]]
name = "tiny"
file = "tiny.pth"
layers = 2
width = 64
ranks = { w = 8, a = 8, v = 8, g = 8 }
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('generation = "7"', 'generation = "9"', "generation '9'"),
        ("width = 64", "width = 65", "65 channels"),
        ("w = 8, a = 8", "a = 8", "ranks a, g, v, w, not a, g, v"),
        ("layers = 2", "", "lacks layers"),
        ("layers = 2", 'layers = "2"', "'layers' should be int"),
        ("layers = 2", "layers = 2\ncolour = 3", "'colour' should be nothing"),
        ("layers = 2", 'layers = 2\nsha256 = "AB"', "64 hexadecimal"),
        ("top_p = 0.3", "luck = 1", "luck"),
        ("[[family.model]]", "[family.model]", r"no \[\[model\]\]"),
    ],
)
def test_a_broken_entry_is_named(old: str, new: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text(GOOD, encoding="utf-8")
    assert read_catalogue(path)[0].numbers_in_file > 0
    path.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(SettingsError, match=words):
        read_catalogue(path)


def test_a_file_named_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text(GOOD + GOOD[GOOD.index("[[family.model]]") :], encoding="utf-8")
    with pytest.raises(SettingsError, match="twice"):
        read_catalogue(path)
