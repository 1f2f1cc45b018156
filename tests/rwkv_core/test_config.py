import pytest

from rwkv_core.config import GROUP_NORM_EPS, ModelConfig, detect_generation
from rwkv_core.errors import CheckpointError, UnsupportedModelError
from rwkv_core.models.loading import detect_config
from tests.checkpoints import random_weights

Shapes = dict[str, tuple[int, ...]]
C, H, N = 64, 4, 16


def tiny_shapes() -> Shapes:
    return {name: tuple(value.shape) for name, value in random_weights(n_ffn=96).items()}


def att(**shapes: tuple[int, ...]) -> Shapes:
    """Name tensors of layer 0's time mix; a double underscore stands for a dot."""
    return {f"blocks.0.att.{name.replace('__', '.')}": shape for name, shape in shapes.items()}


V4 = att(time_decay=(C,), time_first=(C,), key__weight=(C, C))
V5 = V4 | att(time_decay=(H,), time_first=(H,), ln_x__weight=(C,))
V6 = att(time_maa_x=(1, 1, C), time_decay=(1, 1, C), ln_x__weight=(C,), gate__weight=(C, C))
V7 = att(r_k=(H, N), k_k=(1, 1, C), ln_x__weight=(C,))


@pytest.mark.parametrize(
    ("generation", "shapes"),
    [
        ("4", V4),
        ("5.0", V5),
        ("5.1", V5 | att(gate__weight=(C, C))),
        ("5.2", V5 | att(gate__weight=(C, C), time_decay=(H, N))),
        ("6", V6),
        ("7", V7),
        ("7a", V7 | {"blocks.0.ffn.s_emb.weight": (50, 8)}),
    ],
)
def test_every_generation_is_told_from_its_tensor_names(generation: str, shapes: Shapes) -> None:
    assert detect_generation(shapes) == generation


@pytest.mark.parametrize("shape", [(H,), (H, 1), (H, 1, 1)])
def test_a_v5_decay_with_axes_of_length_1_is_one_number_per_head(shape: tuple[int, ...]) -> None:
    shapes = V5 | att(gate__weight=(C, C), time_decay=shape)
    assert detect_generation(shapes) == "5.1"


def test_a_v5_file_without_its_decay_is_still_told() -> None:
    shapes = V5 | att(gate__weight=(C, C))
    del shapes["blocks.0.att.time_decay"]
    assert detect_generation(shapes) == "5.1"


@pytest.mark.parametrize(
    "extra", ["rosa.emb", "blocks.0.rosa_q.weight", "e.weight", "blocks.0.ffn.enn.weight"]
)
def test_research_checkpoints_are_refused_as_such(extra: str) -> None:
    with pytest.raises(UnsupportedModelError, match="RWKV-8 research"):
        detect_generation(V7 | {extra: (8, 8)})


@pytest.mark.parametrize("shapes", [{}, {"model.embed_tokens.weight": (50, C)}])
def test_other_models_are_refused_with_what_was_found(shapes: Shapes) -> None:
    with pytest.raises(UnsupportedModelError, match="not an RWKV") as caught:
        detect_generation(shapes)
    assert (next(iter(shapes), "nothing")) in str(caught.value)


def test_rwkv_7b_is_refused_by_name_and_with_its_reason() -> None:
    shapes = V7 | {"blocks.0.ffn.s_emb.weight": (8, C), "blocks.0.qkv.qq.weight": (8, C)}
    with pytest.raises(UnsupportedModelError, match=r"RWKV-7b checkpoint.*memory grows"):
        detect_generation(shapes)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("RWKV-4a checkpoint", "blocks.1.tiny_q.weight"),
        ("RWKV-4b checkpoint", "blocks.0.att.qq.weight"),
        ("RWKV-1 checkpoint", "blocks.0.att.time_w"),
        ("RWKV-2 checkpoint", "blocks.0.att.time_mix"),
        ("experiment .* channel mix for a time mix", "blocks.0.ffnPre.key.weight"),
        ("experiment .* position embeddings", "blocks.0.pos_emb_x"),
        ("RWKV-3 checkpoint or an RWKV-4 experiment", "head_q.weight"),
    ],
)
def test_relatives_of_rwkv_4_are_refused_by_name(model: str, name: str) -> None:
    # The older ones have head_q too.
    for more in ({}, {"head_q.weight": (8, C)}):
        with pytest.raises(UnsupportedModelError, match=f"this is an .*{model}.*it holds {name}"):
            detect_generation(V4 | {name: (8, C)} | more)


def test_rwkv_3_is_told_by_the_shape_of_its_decay_and_the_message_says_so() -> None:
    with pytest.raises(UnsupportedModelError, match=r"looks like an RWKV-3.*nothing but the shape"):
        detect_generation(V4 | att(time_decay=(C, 1)))


def test_sizes_are_read_from_shapes() -> None:
    expected = ModelConfig(
        generation="7", vocab_size=50, n_layer=3, n_embd=32, n_ffn=96, n_head=4, head_size=8
    )
    assert detect_config(tiny_shapes()) == expected
    assert expected.ln_x_eps == GROUP_NORM_EPS == 64e-5


def test_a_missing_layer_is_named() -> None:
    shapes = {n: s for n, s in tiny_shapes().items() if not n.startswith("blocks.1.")}
    with pytest.raises(CheckpointError, match="layer 1 of 3 is missing"):
        detect_config(shapes)


def test_an_absurd_layer_number_costs_nothing() -> None:
    with pytest.raises(CheckpointError, match="layer 3 of 10000000000000 is missing"):
        detect_config(tiny_shapes() | {"blocks.9999999999999.att.w0": (1,)})


@pytest.mark.parametrize("name", ["emb.weight", "blocks.0.att.r_k", "blocks.0.ffn.key.weight"])
def test_a_missing_tensor_that_tells_sizes_is_named(name: str) -> None:
    shapes = tiny_shapes()
    del shapes[name]
    with pytest.raises(CheckpointError, match=f"tensor {name} is missing"):
        detect_config(shapes)


@pytest.mark.parametrize("name", ["emb.weight", "blocks.0.att.r_k", "blocks.0.ffn.key.weight"])
@pytest.mark.parametrize("shape", [(), (32,), (4, 8, 1), (0, 32)])
def test_a_tensor_that_tells_sizes_must_be_a_matrix(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(CheckpointError, match=f"tensor {name} is"):
        detect_config(tiny_shapes() | {name: shape})


def test_heads_that_do_not_make_up_the_channels_are_refused() -> None:
    with pytest.raises(CheckpointError, match=r"4 of 16, are not the 32 channels"):
        detect_config(tiny_shapes() | {"blocks.0.att.r_k": (4, 16)})


def test_state_bytes_of_the_released_small_model() -> None:
    config = ModelConfig("7", 65536, n_layer=12, n_embd=768, n_ffn=3072, n_head=12, head_size=64)
    assert config.state_bytes == 2_433_024
