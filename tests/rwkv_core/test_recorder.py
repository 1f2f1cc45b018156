"""What a recording says, against the float64 references: every generation, from raw states."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rwkv_core.inspection import (
    effective_rank,
    log_mass,
    reading,
    remaining,
    singular_values,
    states,
)
from rwkv_core.models import Model, load_model
from rwkv_core.recording import CLOSE_LOOK, LayerInputs, Recording, Wanted, layers_kept
from rwkv_core.state import EMPTY_EXPONENT
from tests.checkpoints import write_pth
from tests.generations import RANDOM_WEIGHTS, REFERENCES, as_numpy, random_tokens

SIZES = {"n_layer": 3, "n_embd": 32, "head_size": 16}
TOKENS = random_tokens(1, 24)[0].tolist()
every_generation = pytest.mark.parametrize("generation", RANDOM_WEIGHTS)
# Agreement with float64, relative to the largest number compared.
CLOSE = 1e-4
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Read:
    """A text read by a model and by its reference.

    Attributes:
        recording: the model's.
        states: (T + 1, L, ...) the reference's wkv, the empty one first.
        memories: (T + 1, L, H, V, K) the same; for RWKV-4 the mean, (T + 1, L, 1, 1, C).
        logits: (T, V) the reference's.
    """

    model: Model
    recording: Recording
    states: Floats
    memories: Floats
    logits: Floats


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Read]:
    folder, read = tmp_path_factory.mktemp("recorder"), {}
    for name, draw in RANDOM_WEIGHTS.items():
        weights = draw(**SIZES)
        model = load_model(write_pth(folder / f"{name}.pth", weights), "cpu fp32")
        read[name] = Read(model, model.trace(TOKENS, wanted=CLOSE_LOOK), *reference(name, weights))
    return read


def reference(generation: str, weights: Mapping[str, torch.Tensor]) -> tuple[Floats, ...]:
    """Read the text one token at a time, and keep every raw state."""
    model = REFERENCES[generation](as_numpy(weights))
    state, kept, logits = None, [], []
    for token in TOKENS:
        said, state = model.forward(np.array([[token]]), state)
        kept.append(state.wkv[:, 0])
        logits.append(said[0, 0])
    empty = np.zeros_like(kept[0])
    if generation == "4":
        empty[:, 2] = EMPTY_EXPONENT
    raw = np.stack([empty, *kept])
    return raw, memories(raw), np.stack(logits)


def memories(raw: Floats) -> Floats:
    if raw.ndim == 5:
        return raw
    mean = np.divide(raw[:, :, 0], raw[:, :, 1], out=np.zeros_like(raw[:, :, 0]), where=raw[:, :, 1] > 0)  # fmt: skip
    return mean[:, :, None, None]


@pytest.fixture
def text(texts: Mapping[str, Read], generation: str) -> Read:
    return texts[generation]


def assert_near(actual: NDArray[np.floating], expected: NDArray[np.floating]) -> None:
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= CLOSE * np.abs(expected).max()


def norms(values: Floats) -> Floats:
    """(T, L, H, V, K) -> (L, T)."""
    result: Floats = np.sqrt(np.square(values).sum((2, 3, 4))).T
    return result


@every_generation
def test_norms_of_states_and_changes_are_the_references(text: Read) -> None:
    after, change = text.memories[1:], np.diff(text.memories, axis=0)
    assert_near(text.recording.state_norm, norms(after))
    assert_near(text.recording.change_norm, norms(change))
    heads = np.sqrt(np.square(after[-1]).sum((2, 3)))
    assert_near(text.recording.head_norm, heads)


@every_generation
def test_what_faded_was_erased_and_written_rebuilds_the_references_change(text: Read) -> None:
    recorded = (
        text.recording.fade_norm,
        text.recording.erase_norm,
        text.recording.write_norm,
    )
    for layer, inputs in text.recording.layers.items():
        # Each part from the reference's raw state before the token.
        before = text.memories[:-1, layer]
        fade, erase, write = parts(inputs, before, text.states[:-1, layer])
        assert_near(write - fade - erase, np.diff(text.memories[:, layer], axis=0))
        for norm, part in zip(recorded, (fade, erase, write), strict=True):
            expected = np.sqrt(np.square(part).sum((1, 2, 3)))
            assert np.abs(norm[layer] - expected).max() <= CLOSE * np.abs(write).max() * 10


def parts(inputs: LayerInputs, before: Floats, raw: Floats) -> tuple[Floats, Floats, Floats]:
    v = inputs.v.astype(np.float64)
    if inputs.r is None:
        mass = np.logaddexp(log_mass(raw) + inputs.log_decay, inputs.k)
        share = np.exp(inputs.k - mass)[:, None, None]
        return share * before, np.zeros_like(before), share * v[:, None, None]
    decay = np.exp(np.broadcast_to(inputs.log_decay.astype(np.float64), inputs.k.shape))
    fade = before * (1 - decay[:, :, None, :])
    write = v[..., :, None] * inputs.k[..., None, :]
    if inputs.kk is None or inputs.a is None:
        return fade, np.zeros_like(fade), write
    removed = np.einsum("thvk,thk->thv", before, inputs.kk)
    return fade, removed[..., None] * (inputs.kk * inputs.a)[..., None, :], write


@every_generation
def test_states_rebuilt_from_a_layers_inputs_are_the_references(text: Read) -> None:
    for layer, inputs in text.recording.layers.items():
        assert_near(np.stack(list(states(inputs))), text.memories[1:, layer])


@every_generation
def test_implicit_attention_rows_rebuild_what_was_read(text: Read) -> None:
    for layer, inputs in text.recording.layers.items():
        for token in (0, 1, 11, len(TOKENS) - 1):
            row = reading(inputs, token)
            rebuilt = np.einsum("hn,nhv->hv", row.weights, row.values) + row.before
            assert_near(rebuilt, output(inputs, text, layer, token))


def output(inputs: LayerInputs, text: Read, layer: int, token: int) -> Floats:
    """What the recurrence gives at one token, from the reference's raw states."""
    v = inputs.v[token].astype(np.float64)
    before, after = text.states[token, layer], text.states[token + 1, layer]
    if inputs.r is None:
        a, b, p = before
        top = np.maximum(p, inputs.u + inputs.k[token])
        old, new = np.exp(p - top), np.exp(inputs.u + inputs.k[token] - top)
        mean: Floats = (old * a + new * v) / (old * b + new)
        return mean[:, None]
    state = before if inputs.kk is None else after
    y: Floats = np.einsum("hvk,hk->hv", state, inputs.r[token])
    if inputs.u is not None:
        y = y + (inputs.r[token] * inputs.u * inputs.k[token]).sum(-1, keepdims=True) * v
    return y


@every_generation
def test_a_words_remains_are_what_is_missing_without_it(text: Read) -> None:
    for inputs in text.recording.layers.values():
        left = remaining(inputs, 5)
        assert (left[:, 0] == 1).all()
        # States are linear in values: without this one they differ by the trace it left.
        without = inputs.v.copy()
        without[5] = 0
        other = states(LayerInputs(**{**vars(inputs), "v": without}))
        differences = np.stack([a - b for a, b in zip(states(inputs), other, strict=True)])[5:]
        # RWKV-4 has a trace in every channel, the others one in every head.
        axes = (1, 2) if inputs.r is None else (2, 3)
        traces = np.sqrt(np.square(differences).sum(axes)).T
        assert_near(left, traces / traces[:, :1])


@every_generation
def test_spectra_are_those_of_the_references_states(text: Read, generation: str) -> None:
    spectra = text.recording.spectra
    if generation == "4":
        assert spectra is None
        return
    assert spectra is not None
    assert spectra.positions[-1] == len(TOKENS) - 1
    expected = singular_values(text.states[spectra.positions + 1])
    assert_near(spectra.values, expected)
    np.testing.assert_allclose(effective_rank(spectra.values), effective_rank(expected), rtol=CLOSE)


@every_generation
def test_the_lens_ends_in_what_the_model_says(text: Read) -> None:
    lens = text.recording.lens
    assert lens is not None
    chances = np.exp(text.logits - text.logits.max(-1, keepdims=True))
    chances /= chances.sum(-1, keepdims=True)
    assert (lens.top[-1] == text.logits.argmax(-1)).all()
    np.testing.assert_allclose(lens.top_probability[-1], chances.max(-1), rtol=CLOSE)
    told = chances[np.arange(len(TOKENS) - 1), TOKENS[1:]]
    np.testing.assert_allclose(lens.told_probability[-1, :-1], told, rtol=CLOSE)
    np.testing.assert_allclose(-np.log2(told), text.recording.surprise_bits[1:], rtol=CLOSE)
    assert np.isnan(lens.told_probability[:, -1]).all()


@every_generation
def test_activity_is_measured_where_a_generation_has_it(text: Read, generation: str) -> None:
    expected = {
        "4": {"opening", "active", "channel gate"},
        "5.0": {"receptance", "active", "channel gate"},
        "7": {"receptance", "gate", "rate", "active"},
        "7a": {"receptance", "gate", "rate", "active"},
    }.get(generation, {"receptance", "gate", "active", "channel gate"})
    assert set(text.recording.activity) == expected
    for values in text.recording.activity.values():
        assert values.shape == (3, len(TOKENS))
        assert np.isfinite(values).all()
    active = text.recording.activity["active"]
    assert ((active >= 0) & (active <= 1)).all()
    assert 0 < active.mean() < 1


@every_generation
def test_a_text_recorded_in_pieces_is_the_text_recorded_at_once(text: Read) -> None:
    wanted = Wanted(inputs_tokens=9, spectra=5, lens_tokens=7, activity=True)
    whole = text.model.trace(TOKENS, wanted=wanted)
    recorder = text.model.recorder(TOKENS, wanted)
    logits = state = None
    for start in range(0, len(TOKENS), 5):
        logits, state = text.model.record(recorder, TOKENS[start : start + 5], state, logits)
    assert logits is not None
    assert state is not None
    pieces = recorder.finish(logits[0], state)
    for name, left, right in pairs_of_arrays(whole, pieces):
        np.testing.assert_allclose(left, right, rtol=1e-3, atol=2e-5, err_msg=name)
    for layer, inputs in whole.layers.items():
        assert inputs.first == len(TOKENS) - 9
        assert_near(inputs.state, text.states[inputs.first, layer])
        assert_near(np.stack(list(states(inputs))), text.memories[inputs.first + 1 :, layer])


def pairs_of_arrays(
    left: object, right: object, name: str = ""
) -> list[tuple[str, NDArray[np.floating], NDArray[np.floating]]]:
    if isinstance(left, np.ndarray):
        assert isinstance(right, np.ndarray)
        return [(name, left, right)]
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        assert left.keys() == right.keys()
        return [pair for key in left for pair in pairs_of_arrays(left[key], right[key], str(key))]
    if hasattr(left, "__dataclass_fields__") and not isinstance(left, torch.Tensor):
        names = [field.name for field in fields(left)]  # type: ignore[arg-type]
        return [
            pair
            for key in names
            for pair in pairs_of_arrays(getattr(left, key), getattr(right, key), key)
        ]
    return []


def test_a_glance_keeps_no_inputs_and_asks_no_layer(texts: Mapping[str, Read]) -> None:
    glance = texts["7"].model.trace(TOKENS)
    assert not glance.layers
    assert glance.spectra is None
    assert glance.lens is None
    assert not glance.activity
    np.testing.assert_array_equal(glance.state_norm.shape, (3, len(TOKENS)))
    assert glance.nbytes < texts["7"].recording.nbytes / 2


def test_layers_that_do_not_fit_are_left_out_evenly() -> None:
    from rwkv_core.config import ModelConfig

    config = ModelConfig("7", 65536, 24, 1024, 4096, 16, 64)
    kept = layers_kept(config, CLOSE_LOOK, 500, 6)
    assert kept[-1] == 23
    assert len(kept) == 4
    assert len(set(np.diff(kept))) <= 2
    assert layers_kept(config, Wanted(inputs_tokens=512, layers=(7,)), 500, 6) == (7,)
    assert layers_kept(config, Wanted(), 500, 6) == ()


@every_generation
def test_a_recording_stays_within_its_limit_whatever_the_text(text: Read) -> None:
    sizes = [part.nbytes for _, part, _ in pairs_of_arrays(text.recording, text.recording)]
    assert text.recording.nbytes == sum(sizes) + text.recording.state.nbytes


def test_rwkv4_measures_do_not_depend_on_the_common_exponent(texts: Mapping[str, Read]) -> None:
    recording = texts["4"].recording
    for inputs in recording.layers.values():
        begun = recording.state.wkv[0, 0].numpy().astype(np.float64)
        moved = begun.copy()
        moved[:2] *= np.exp(-7.5)
        moved[2] += 7.5
        np.testing.assert_allclose(log_mass(moved), log_mass(begun), rtol=1e-12)
        one, other = (LayerInputs(**{**vars(inputs), "state": s}) for s in (begun, moved))
        for ours, theirs in zip(states(one), states(other), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9)
        for ours, theirs in zip(reading(one, 9), reading(other, 9), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9)
        np.testing.assert_allclose(remaining(one, 3), remaining(other, 3), rtol=1e-9)
