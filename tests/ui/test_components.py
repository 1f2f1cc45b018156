import pytest

from rwkv_core.config import Choice
from rwkv_core.engine import Engine
from rwkv_core.errors import InputError
from rwkv_core.streams import StreamStatus
from tests.ui.fakes import CONFIG, FakeEngine, as_engine
from ui import components


def fake_engine() -> Engine:
    return as_engine(FakeEngine())


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (304_128, "304 kB"), (2_433_024, "2.4 MB"),
     (34_000_000, "34 MB"), (34_080_000, "34.1 MB"), (999_999, "1 MB"), (5 * 10**13, "50000 GB")],
)  # fmt: skip
def test_bytes_are_written_for_people(count: int, text: str) -> None:
    assert components.bytes_text(count) == text


def test_parameters_are_written_in_words() -> None:
    assert components.parameters_text(4_600_000) == "4.6 million"
    assert components.parameters_text(1_520_000_000) == "1.5 billion"
    assert components.parameters_text(12_345) == "12,345"


def test_the_banner_says_where_it_runs_and_why_and_escapes_names() -> None:
    page = components.banner(fake_engine())
    assert "Pip &lt;tiny&gt;" in page
    assert "<tiny>" not in page
    assert "the CPU runs every model on every machine" in page
    assert "304,128 bytes" in page
    assert "4.6 million parameters (tiny)" in page
    assert "--model FILE" in page


def test_the_banner_names_the_vocabulary_and_what_texts_begin_from() -> None:
    page = components.banner(fake_engine())
    assert "<dt>Vocabulary</dt><dd><b>bytes &lt;1&gt;</b> one id per byte</dd>" in page
    assert "Texts begin from" not in page
    fake = FakeEngine()
    fake.choices["state"] = Choice("pirate.pth", "a tuned state")
    assert "<dt>Texts begin from</dt><dd><b>pirate.pth</b>" in components.banner(as_engine(fake))


def test_the_banner_names_every_device_and_how_weights_are_stored() -> None:
    assert "<dt>Weights</dt>" not in components.banner(fake_engine())
    fake = FakeEngine()
    fake.choices["device"] = Choice("cuda:0 and cpu", "layers 1-3 cuda:0")
    fake.choices["weights"] = Choice("int8", "a quarter")
    page = components.banner(as_engine(fake))
    assert "<b>GPU (cuda:0) and CPU</b> layers 1-3 cuda:0" in page
    assert "<dt>Weights</dt><dd><b>int8</b> a quarter</dd>" in page


def test_only_the_shipped_model_is_said_to_tell_stories() -> None:
    assert "tells children's stories" in components.banner(fake_engine(), "Pip")
    assert "tells children's stories" not in components.banner(fake_engine())


def test_the_banner_can_give_the_model_a_name() -> None:
    assert ">Pip<" in components.banner(fake_engine(), "Pip")


def test_the_memory_card_keeps_its_size_and_has_one_cell_per_layer() -> None:
    cards = [components.memory_card(CONFIG, words, 2 * words) for words in (0, 1, 5000)]
    assert all("304 kB" in card and card.count("<i ") == CONFIG.n_layer for card in cards)
    assert "after 1 word<" in cards[1]
    assert "after 5,000 words" in cards[2]
    # 2 (keys, values) x 6 layers x 192 channels x 2 bytes x 10,000 tokens
    assert "46.1 MB" in cards[2]


def test_cells_glow_with_change_and_never_beyond_one() -> None:
    card = components.memory_card(CONFIG, 1, 1, (0.0, 0.25, 1.0, 9.0, -1.0, 0.01))
    glows = [part.split('"')[0] for part in card.split("--glow:")[1:]]
    assert glows == ["0.00", "0.50", "1.00", "1.00", "0.00", "0.10"]
    assert "is-awake" in card
    assert "is-awake" not in components.memory_card(CONFIG, 1, 1)


def test_progress_is_said_in_words() -> None:
    said = {
        "number 3 in line": StreamStatus("waiting", 3, 0, 9),
        "Reading: 128 of 4,000 tokens": StreamStatus("reading", 0, 128, 4000),
        "Writing": StreamStatus("writing", 0, 9, 9),
    }
    for words, status in said.items():
        assert words in components.progress_line(status, "en")


def test_errors_become_one_escaped_sentence() -> None:
    line = components.error_line(InputError("the text <b> is too long; cut it"), "en")
    assert "The text &lt;b&gt; is too long; cut it." in line
    assert 'role="alert"' in line
    assert str(components.as_gradio_error(InputError("no; go"))) == "'No; go.'"


@pytest.mark.parametrize("name", ["broken.pth:", "tiny-2layer", "top_p"])
def test_a_name_at_the_beginning_of_a_sentence_stays_as_it_is(name: str) -> None:
    assert components.sentence(InputError(f"{name} is bad; choose another")).startswith(name)


def test_percentages_keep_a_digit_where_it_matters() -> None:
    assert [components.percent(p) for p in (0.97, 0.034, 0.0001)] == ["97 %", "3.4 %", "< 0.1 %"]


def test_the_banner_speaks_the_visitors_language() -> None:
    page = components.banner(fake_engine(), "Pip", "zh")
    assert "<dt>记忆</dt><dd><b>304,128 字节</b>" in page
    assert "<code>python app.py --model FILE</code>" in page
    assert "CPU 在任何机器上都能运行任何模型" in page
    assert "460 万个参数" in page
    assert "{" not in page
