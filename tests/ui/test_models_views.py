import pytest

from presets.catalogue import catalogue
from presets.words import speak, translated
from rwkv_core.config import Choice
from rwkv_core.downloads import Progress
from rwkv_core.errors import Sentence
from tests.ui.desks import machine
from ui.models_views import (
    Row,
    about_html,
    fetching_html,
    known_html,
    machine_html,
    table_html,
    time_text,
)
from ui.offers import Offer


def test_what_was_found_is_escaped_and_gives_reasons() -> None:
    found = machine_html(machine(), Choice("C++ AVX2", "compiled"), "en")
    assert "A &lt;CPU&gt;" in found
    assert "build for the CPU alone" in found
    assert "9.0 GB free of 16.0 GB" in found
    assert "C++ AVX2" in found


@pytest.mark.parametrize("language", ["zh", "ja"])
def test_what_was_found_is_said_in_the_visitors_language(language: str) -> None:
    form = "one call per token, weights in reading order, threads: {threads}; {vectors}; {how}"
    reason = Sentence(form, threads=2, vectors="AVX-512 with VNNI and BF16", how="none")
    found = machine_html(machine(), Choice("packed C++", reason), language)
    assert f"<b>{speak(language, 'reason.none')}</b>" in found
    assert speak(language, "reason.avx512_bf16") in found
    assert " with " not in found


@pytest.mark.parametrize("language", ["en", "zh", "ja"])
def test_a_line_of_models_is_named_in_the_visitors_language(language: str) -> None:
    model = next(m for m in catalogue() if "first files" in m.family)
    named = speak(language, "about.g1_2025_name")
    offer = Offer(model.file, model.title, entry=model)
    assert f">{named} <" in table_html([Row(offer, 0, None, "")], "", language)
    assert f"<h2>{named} 0.1B</h2>" in about_html(model, "", language, has_commands=False)
    assert translated(language, offer.title) == f"{named} 0.1B"
    assert model.title == "RWKV-7 G1, first files 0.1B"


def test_the_well_known_table_stands_beside_ours() -> None:
    assert "<td>16 GB</td>" in known_html("en")


def test_a_download_tells_bytes_share_speed_and_time() -> None:
    half = Progress("fetching", 5 * 10**8, 10**9, 10**8, 10**7)
    text = fetching_html("<G1>", half, "en")
    for words in ("500 MB of 1 GB (50 %)", "10 MB a second", "about 50 s left", "100 MB were here"):
        assert words in text
    assert "&lt;G1&gt;" in text
    assert 'max="1000000000" value="500000000"' in text
    assert "checking the checksum, 50 %" in fetching_html(
        "G1", Progress("checking", 5, 10, 0, 1), "en"
    )
    assert "Asking the Hub for G1" in fetching_html("G1", None, "en")


def test_a_time_is_written_for_people() -> None:
    assert [time_text(s) for s in (0, 40, 100, 720, 12600)] == ["1 s", "40 s", "2 min", "12 min", "3.5 h"]  # fmt: skip
