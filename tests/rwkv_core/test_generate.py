import math
import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from rwkv_core.errors import InputError, SettingsError
from rwkv_core.generate import (
    Generation,
    GenerationResult,
    GenerationSettings,
    TextAssembler,
    Token,
    generate,
    make_token,
)
from rwkv_core.sampling import SamplingSettings
from rwkv_core.state import State
from tests.rwkv_core.fakes import FakeModel, FakeTokenizer

GREEDY = SamplingSettings(temperature=0, presence_penalty=0, frequency_penalty=0)
FREE = SamplingSettings(presence_penalty=0, frequency_penalty=0, seed=5)


def token(index: int) -> Token:
    return Token(index, "", -1.0)


def assemble(
    tokenizer: FakeTokenizer, ids: Sequence[int], stop: tuple[str, ...]
) -> tuple[TextAssembler, list[str]]:
    """Feed ids until a stop string is met; also list the shown text after each."""
    assembler = TextAssembler(tokenizer, stop)
    shown, given = [], []
    for index in ids:
        given += assembler.feed(token(index))
        shown.append(assembler.text)
        if assembler.is_stopped:
            break
    given += assembler.finish()
    assert "".join(piece.text for piece in given) == assembler.text
    return assembler, shown


def finished(generation: Generation) -> tuple[list[Token], GenerationResult]:
    tokens = list(generation)
    assert generation.result is not None
    return tokens, generation.result


def written(text: str, settings: GenerationSettings, *pieces: str) -> GenerationResult:
    """Let a model that would write this text write it, after the prompt '>'."""
    tokenizer = FakeTokenizer(*pieces)
    ids = tokenizer.encode(f">{text}")
    model = FakeModel(tokenizer.vocab_size, ids)
    tokens, result = finished(generate(model, tokenizer, ids[:1], settings))
    assert "".join(piece.text for piece in tokens) == result.text
    assert tokenizer.decode(result.ids) == result.text
    assert_same_state(result.state, model.forward([ids[0], *result.ids])[1])
    return result


def assert_same_state(left: State, right: State) -> None:
    for part in ("time_mix_shift", "wkv", "channel_mix_shift"):
        torch.testing.assert_close(getattr(left, part), getattr(right, part), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("stop", "text", "shown"),
    [
        ((), "no stop\n\n", "no stop\n\n"),
        (("\n\n",), "one\ntwo\n\nthree", "one\ntwo"),
        (("\n\n",), "ends\n", "ends\n"),
        (("\n\n",), "\n\n", ""),
        (("User:", "Bot:"), "Use\nBot: User:", "Use\n"),
        (("abc", "b"), "xabc", "xa"),
        (("aab",), "aaab", "a"),
        (("abab",), "ababab", ""),
        (("ababc",), "abababc.", "ab"),
        (("世!",), "hi 世世!", "hi 世"),
    ],
)
def test_stop_strings_never_leak_however_the_text_is_cut(
    stop: tuple[str, ...], text: str, shown: str
) -> None:
    rng = random.Random(0)
    for _ in range(40):
        cuts = sorted(rng.sample(range(len(text) + 1), rng.randint(0, len(text))))
        ends = zip([0, *cuts], [*cuts, len(text)], strict=True)
        tokenizer = FakeTokenizer(*(text[start:end] for start, end in ends if start < end))
        ids = tokenizer.encode(text)
        assembler, steps = assemble(tokenizer, ids, stop)
        assert assembler.text == shown
        assert assembler.is_stopped == any(piece in text for piece in stop)
        assert all(shown.startswith(step) for step in steps)
        assert tokenizer.decode(assembler.ids) == shown


def test_text_that_could_become_a_stop_string_is_held_back() -> None:
    tokenizer = FakeTokenizer()
    _, steps = assemble(tokenizer, tokenizer.encode("a\nU\nUser"), ("\nUser",))
    assert steps == ["a", "a", "a", "a\nU", "a\nU", "a\nU", "a\nU", "a\nU"]
    assembler, steps = assemble(tokenizer, tokenizer.encode("\nUsb"), ("\nUser",))
    assert steps == ["", "", "", "\nUsb"]
    assert not assembler.is_stopped


def test_text_comes_at_once_where_nothing_can_stop_it() -> None:
    tokenizer = FakeTokenizer()
    assert assemble(tokenizer, tokenizer.encode("abc"), ("\n\n",))[1] == ["a", "ab", "abc"]


def test_a_character_comes_when_its_last_byte_does() -> None:
    tokenizer = FakeTokenizer()
    assembler, steps = assemble(tokenizer, tokenizer.encode("a世b"), ())
    assert steps == ["a", "a", "a", "a世", "a世b"]
    assert assembler.ids == tuple(tokenizer.encode("a世b"))


def test_an_incomplete_character_at_the_end_is_shown_as_replaced() -> None:
    tokenizer = FakeTokenizer()
    ids = tokenizer.encode("a世")[:-1]
    assembler, _ = assemble(tokenizer, ids, ("\n\n",))
    assert assembler.text == "a\ufffd" == tokenizer.decode(ids)
    assert assembler.ids == tuple(ids)


def test_a_token_cut_by_a_stop_string_is_encoded_anew() -> None:
    tokenizer = FakeTokenizer(".\n\n", "end.")
    assembler, _ = assemble(tokenizer, [*tokenizer.encode("end"), 257], ("\n\n",))
    assert assembler.text == "end."
    assert assembler.ids == (*tokenizer.encode("end"), ord(".") + 1)


def test_a_cut_character_that_began_in_an_earlier_token_is_kept_once() -> None:
    tokenizer = FakeTokenizer()
    first, second, third = "世".encode()
    tokenizer.table.append(bytes([second, third]) + b"\n\n")
    tokenizer.vocab_size += 1
    assembler, _ = assemble(tokenizer, [first + 1, tokenizer.vocab_size - 1], ("\n\n",))
    assert assembler.text == "世" == tokenizer.decode(assembler.ids)


def test_tokens_without_text_pass_through() -> None:
    tokenizer = FakeTokenizer()
    assembler, _ = assemble(tokenizer, [66, 0, 67, 0], ("\n\n",))
    assert (assembler.text, assembler.ids) == ("AB", (66, 0, 67, 0))


def test_tokens_keep_what_they_came_with() -> None:
    full = Token(66, "ignored", -2.0, (), (0.5,))
    assert TextAssembler(FakeTokenizer()).feed(full) == [Token(66, "A", -2.0, (), (0.5,))]


def test_a_token_is_described_by_the_models_own_probabilities() -> None:
    logits = np.array([0.0, 1.0, 3.0, 2.0], np.float32)
    tokenizer = FakeTokenizer()
    made = make_token(1, logits, tokenizer, alternatives=2)
    total = sum(math.exp(value) for value in logits.tolist())
    assert made.logprob == pytest.approx(1 - math.log(total), rel=1e-6)
    assert [(a.id, a.text) for a in made.alternatives] == [(2, "\x01"), (3, "\x02")]
    assert made.alternatives[0].logprob == pytest.approx(3 - math.log(total), rel=1e-6)
    assert make_token(1, logits, tokenizer).alternatives == ()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_tokens": 0}, "max_tokens is 0, but must be 1 or more; choose how long"),
        ({"max_tokens": -1}, "max_tokens is -1, but must be 1 or more"),
        ({"stop": ("a",) * 9}, "9 stop strings given, the limit is 8"),
        (
            {"stop": "She"},
            r"stop is the one string 'She'; give a tuple of strings, such as \('She',\)",
        ),
        ({"stop": ("a" * 65,)}, "a stop string has 65 characters, but must have 1 to 64"),
        ({"stop": ("a", "")}, "a stop string has 0 characters, but must have 1 to 64"),
    ],
)
def test_settings_out_of_range_name_value_and_limit(
    settings: dict[str, object], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        GenerationSettings(**settings)  # type: ignore[arg-type]  # values come as a table


def test_the_most_likely_text_is_that_of_a_plain_loop() -> None:
    model, tokenizer = FakeModel(257), FakeTokenizer()
    settings = GenerationSettings(GREEDY, max_tokens=12, stop_tokens=())
    tokens, result = finished(generate(model, tokenizer, [66, 67], settings))
    expected = [66, 67]
    for _ in range(12):
        expected.append(int(model.forward(expected)[0].argmax()))
    assert result.ids == tuple(expected[2:]) == tuple(piece.id for piece in tokens)
    assert result.reason == "length"
    assert_same_state(result.state, model.forward(expected)[1])


def test_end_of_text_ends_the_text_and_releases_what_was_held() -> None:
    result = written("hi\n", GenerationSettings(GREEDY, stop=("\n\n",)))
    assert (result.reason, result.text) == ("end_of_text", "hi\n")


def test_a_stop_string_of_several_tokens_leaves_the_state_before_it() -> None:
    result = written("hi\n\nUser: you", GenerationSettings(GREEDY, stop=("\n\nUser:",)))
    assert (result.reason, result.text) == ("stop", "hi")


def test_a_stop_string_inside_a_token_leaves_the_state_after_the_shown_part() -> None:
    result = written("hi.\n\nUser", GenerationSettings(GREEDY, stop=("\n\n",)), "i.\n\n")
    assert (result.reason, result.text) == ("stop", "hi.")


def test_max_tokens_ends_the_text_and_releases_what_was_held() -> None:
    result = written("hi\n\nUser", GenerationSettings(GREEDY, max_tokens=3, stop=("\n\n",)))
    assert (result.reason, result.text, len(result.ids)) == ("length", "hi\n", 3)


def test_the_same_state_can_be_used_twice() -> None:
    model, tokenizer = FakeModel(257), FakeTokenizer()
    _, state = model.forward([66, 70])
    before = state.time_mix_shift.clone()
    settings = GenerationSettings(FREE, max_tokens=8)
    texts = [finished(generate(model, tokenizer, [67], settings, state))[1].text for _ in range(2)]
    assert texts[0] == texts[1]
    torch.testing.assert_close(state.time_mix_shift, before)


def test_a_text_continued_in_two_goes_equals_one_go() -> None:
    model, tokenizer = FakeModel(257), FakeTokenizer()

    def ids_after(ids: list[int], count: int) -> list[int]:
        settings = GenerationSettings(FREE, max_tokens=count, stop_tokens=())
        return [*ids, *finished(generate(model, tokenizer, ids, settings))[1].ids]

    assert ids_after(ids_after([66], 5), 7) == ids_after([66], 12)


def test_reading_the_prompt_in_pieces_changes_nothing() -> None:
    model, tokenizer = FakeModel(257), FakeTokenizer()
    ids = tokenizer.encode("a longer prompt")
    settings = GenerationSettings(FREE, max_tokens=6)
    texts = [
        finished(generate(model, tokenizer, ids, settings, chunk_tokens=n))[1].text
        for n in (4, 256)
    ]
    assert texts[0] == texts[1]


def test_written_tokens_are_penalised_and_the_prompt_is_not() -> None:
    model, tokenizer = FakeModel(257), FakeTokenizer()
    harsh = SamplingSettings(temperature=0, presence_penalty=10, frequency_penalty=0)
    settings = GenerationSettings(harsh, max_tokens=40, stop_tokens=())
    prompt = list(range(200))
    wanted = int(model.forward(prompt)[0].argmax())
    assert wanted in prompt
    ids = finished(generate(model, tokenizer, prompt, settings))[1].ids
    assert ids[0] == wanted
    # The likely tokens are within 10 of each other, so each comes once at most.
    assert len(set(ids)) == 40


def test_a_drawn_seed_is_reported_and_repeats_the_text() -> None:
    model, tokenizer = FakeModel(257), FakeTokenizer()
    first = generate(model, tokenizer, [66], GenerationSettings(max_tokens=9))
    again = GenerationSettings(SamplingSettings(seed=first.seed), max_tokens=9)
    assert finished(first)[1].ids == finished(generate(model, tokenizer, [66], again))[1].ids
    assert generate(model, tokenizer, [66], GenerationSettings()).seed != first.seed
    assert generate(model, tokenizer, [66], again).seed == first.seed


def test_alternatives_are_listed_for_every_token() -> None:
    model, tokenizer = FakeModel(257), FakeTokenizer()
    settings = GenerationSettings(GREEDY, max_tokens=3, stop_tokens=())
    for piece in generate(model, tokenizer, [66], settings, alternatives=10):
        assert len(piece.alternatives) == 10
        assert piece.alternatives[0].id == piece.id
        assert piece.alternatives[0].logprob == piece.logprob


def test_an_empty_prompt_is_refused_at_once() -> None:
    with pytest.raises(InputError, match="0 tokens to continue; give at least one"):
        generate(FakeModel(257), FakeTokenizer(), [], GenerationSettings())


def test_a_generation_that_is_left_early_has_no_result() -> None:
    generation = generate(FakeModel(257), FakeTokenizer(), [66], GenerationSettings())
    next(generation)
    assert generation.result is None


@pytest.mark.parametrize("kind", [tuple, np.array, torch.tensor], ids=["tuple", "array", "tensor"])
def test_ids_may_come_in_whatever_holds_them(kind: Callable[[list[int]], Sequence[int]]) -> None:
    tokenizer = FakeTokenizer()
    ids = tokenizer.encode(">hi")
    model = FakeModel(tokenizer.vocab_size, ids)
    _, result = finished(generate(model, tokenizer, kind(ids[:1]), GenerationSettings(GREEDY)))
    assert result.text == "hi"
    with pytest.raises(InputError, match="0 tokens to continue"):
        generate(model, tokenizer, kind([]), GenerationSettings(GREEDY))
