"""Five hundred damaged files: each is refused in a sentence, or is a model that was checked."""

import io
import json
import pickle
import random
import struct
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file
from torch import Tensor

from kernels.blocks import block_library
from rwkv_core.errors import NonFiniteError, RwkvError
from rwkv_core.models import Model, load_model
from tests.checkpoints import Ranks
from tests.foreign_formats import Kind, as_fla, as_web_rwkv, write_folder, write_gguf
from tests.generations import RANDOM_WEIGHTS

CASES, PARTS = 500, 10
SECONDS_PER_FILE = 10
SIZES = {"n_layer": 2, "n_embd": 32, "head_size": 16, "vocab_size": 11}
Damage = Callable[[random.Random, Path, dict[str, Tensor]], Path]


def as_pth(weights: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(weights, buffer)
    return buffer.getvalue()


def whole_file(rng: random.Random, folder: Path, weights: dict[str, Tensor]) -> Path:
    """Write the weights undamaged, in a format drawn at random."""
    kind = rng.choice(["pth", "safetensors", "st", "gguf", "gguf"])
    path = folder / f"m.{kind}"
    if kind == "pth":
        path.write_bytes(as_pth(weights))
    elif kind == "safetensors":
        path.write_bytes(save(weights))
    elif kind == "st":
        path.write_bytes(save(as_web_rwkv(weights, generation="7")))
    else:
        write_gguf(path, weights, generation="7", kind=rng.choice([Kind.F32, Kind.Q8_0]))
    return path


def truncated(rng: random.Random, folder: Path, weights: dict[str, Tensor]) -> Path:
    path = whole_file(rng, folder, weights)
    content = path.read_bytes()
    # As often near the ends as anywhere.
    share = rng.choice([rng.random(), rng.random() ** 8, 1 - rng.random() ** 8])
    path.write_bytes(content[: int(len(content) * share)])
    return path


def flipped(rng: random.Random, folder: Path, weights: dict[str, Tensor]) -> Path:
    """Flip bits, in headers more often than their size would have it."""
    path = whole_file(rng, folder, weights)
    content = bytearray(path.read_bytes())
    length = len(content)
    for _ in range(rng.choice([1, 4, 32])):
        place = rng.choice(
            [rng.randrange(length), rng.randrange(min(4000, length)), -1 - rng.randrange(4000)]
        )
        content[place] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    return path


def overwritten(rng: random.Random, folder: Path, weights: dict[str, Tensor]) -> Path:
    """Put absurd sizes where sizes may be."""
    path = whole_file(rng, folder, weights)
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 8])):
        place = rng.randrange(min(len(content) - 8, rng.choice([40, 800, 8000])))
        number = rng.choice([0, 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63, 2**64 - 1])
        content[place : place + 8] = struct.pack("<Q", number)
    path.write_bytes(content)
    return path


def renamed(rng: random.Random, folder: Path, weights: dict[str, Tensor]) -> Path:
    names = list(weights)
    for name in rng.sample(names, rng.choice([1, 3])):
        others = ["x", "", "blocks.0.att", "blocks.999999999999.att.w0", "\n", "emb.weight"]
        new = rng.choice([*others, name.replace("0", "1"), name.upper(), rng.choice(names)])
        weights[new] = weights.pop(name)
    return whole_container(rng, folder, weights)


def reshaped(rng: random.Random, folder: Path, weights: dict[str, Tensor]) -> Path:
    for name in rng.sample(list(weights), rng.choice([1, 3])):
        value = weights[name]
        weights[name] = rng.choice(
            [value[:1], value[:0], value.flatten(), value[None], value.sum(), value.mT]
            if value.dim() > 1
            else [value[:1], value[:0], value[None], value.sum()]
        ).clone()
    return whole_container(rng, folder, weights)


def retyped(rng: random.Random, folder: Path, weights: dict[str, Tensor]) -> Path:
    types = [torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.bool, torch.complex64]
    dtype = rng.choice(types)
    for name in rng.sample(list(weights), rng.choice([1, len(weights)])):
        weights[name] = weights[name].to(dtype)
    if rng.random() < 0.3:
        name = rng.choice(list(weights))
        weights[name] = torch.full_like(weights[name].float(), rng.choice([torch.nan, torch.inf]))
    return whole_container(rng, folder, weights)


def mixed(rng: random.Random, folder: Path, weights: dict[str, Tensor]) -> Path:
    """Take a share of the tensors from another model."""
    generation = rng.choice(list(RANDOM_WEIGHTS))
    other = RANDOM_WEIGHTS[generation](**SIZES | {"n_embd": rng.choice([32, 48])})
    weights |= {name: value for name, value in other.items() if rng.random() < 0.5}
    return whole_container(rng, folder, weights)


def whole_container(rng: random.Random, folder: Path, weights: dict[str, Tensor]) -> Path:
    path = folder / "m.pth"
    plain = {name: value.clone().contiguous() for name, value in weights.items()}
    path.write_bytes(as_pth(plain) if rng.random() < 0.5 else save(plain))
    return path


class Hostile:
    """Touches a file when something careless unpickles it."""

    def __init__(self, target: Path, function: Callable[..., object]) -> None:
        self.target, self.function = target, function

    def __reduce__(self) -> tuple[object, ...]:
        if self.function is exec:
            return exec, (f"import pathlib; pathlib.Path({str(self.target)!r}).touch()",)
        return self.function, (self.target,)


def hostile(rng: random.Random, folder: Path, weights: dict[str, Tensor]) -> Path:
    """Hide code in the pickle: as a value, a key, the whole, a raw pickle, or beside torch's."""
    functions: list[Callable[..., object]] = [Path.touch, exec]
    evil = Hostile(folder / "ran", rng.choice(functions))
    content: object = rng.choice(
        [
            {**weights, "x": evil},
            {evil: 1},
            evil,
            {"state_dict": evil},
            [evil],
            {"a": {"b": [evil]}},
        ]
    )
    path = folder / "m.pth"
    if rng.random() < 0.2:
        path.write_bytes(pickle.dumps(content))
        return path
    path.write_bytes(as_pth(content))
    if rng.random() < 0.3:  # the tensors' own archive with another pickle in it
        clean = io.BytesIO(as_pth(weights))
        with zipfile.ZipFile(clean) as source, zipfile.ZipFile(path, "w") as target:
            for entry in source.infolist():
                is_pickle = entry.filename.endswith("data.pkl")
                target.writestr(entry, pickle.dumps(evil) if is_pickle else source.read(entry))
    return path


def quantized() -> Tensor:
    with warnings.catch_warnings(action="ignore"):  # deprecated, and still read by torch.load
        return torch.quantize_per_tensor(torch.zeros(4), 0.1, 0, torch.qint8)


def tricky_pth(rng: random.Random, folder: Path, weights: dict[str, Tensor]) -> Path:
    """Write tensors that are allowed in a pickle and are no plain numbers of the file."""
    odd = rng.choice(
        [
            torch.zeros(1).expand(2**40),
            torch.zeros(3, 3).to_sparse(),
            torch.empty(3, device="meta"),
            quantized(),
            weights["emb.weight"].mT,
        ]
    )
    weights[rng.choice(list(weights))] = odd
    path = folder / "m.pth"
    path.write_bytes(as_pth(weights))
    if rng.random() < 0.3:  # compressed, which a mapped file cannot be
        clean = io.BytesIO(path.read_bytes())
        deflated = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)
        with zipfile.ZipFile(clean) as source, deflated as target:
            for entry in source.infolist():
                target.writestr(entry.filename, source.read(entry))
    return path


def damaged_header(rng: random.Random, folder: Path, weights: dict[str, Tensor]) -> Path:
    """Edit the JSON header of a safetensors file."""
    content = save(weights)
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    name = rng.choice([key for key in header if key != "__metadata__"])
    field = rng.choice(["dtype", "shape", "data_offsets"])
    odd: list[object] = [
        None,
        "F99",
        "I8",
        [],
        [-1],
        [2**62, 2**62],
        [0, 2**63],
        [4, 0],
        {"a": 1},
        1e308,
    ]
    header[name][field] = rng.choice(odd)
    text = json.dumps(header).encode()
    if rng.random() < 0.2:
        text = rng.choice([b"{" * 100_000, text[:-2], text + b" " * 7, b"{\xff}"])
    path = folder / "m.safetensors"
    claimed = rng.choice([len(text)] * 5 + [0, 2**40, 2**64 - 1])
    path.write_bytes(struct.pack("<Q", claimed) + text + content[8 + length :])
    return path


def damaged_index(rng: random.Random, folder: Path, weights: dict[str, Tensor]) -> Path:
    """Damage the index of shards, a shard, or the configuration."""
    tensors = as_fla(weights) if rng.random() < 0.5 else weights
    config: dict[str, object] = {"model_type": "rwkv7", "norm_eps": 1e-5, "head_dim": 64}
    odd: list[object] = [None, -1, 0, "1e-5", [], 1e308, float("nan"), 2**70]
    if rng.random() < 0.3:
        config[rng.choice(list(config))] = rng.choice(odd)
    write_folder(folder, tensors, config, shards=2)
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    names = list(content["weight_map"])
    bad = ["../m.safetensors", "/etc/passwd", "..", "", "a/b", "nowhere", 3, None, ["x"], "a\0b"]
    what = rng.randrange(6)
    if what == 0:
        content["weight_map"][rng.choice(names)] = rng.choice(bad)
    elif what == 1:
        content["weight_map"].pop(rng.choice(names))
    elif what == 2:
        content = rng.choice([[], {}, {"weight_map": []}, {"weight_map": {}}, 3, None])
    elif what == 3:
        (folder / "config.json").write_text(rng.choice(["", "[", "[" * 50_000, "{}", "3"]))
    elif what == 4:
        (folder / "model-00002-of-00002.safetensors").unlink()
    else:
        shard = folder / "model-00001-of-00002.safetensors"
        shard.write_bytes(shard.read_bytes()[: rng.randrange(3000)])
    text = json.dumps(content)
    index.write_text(text if rng.random() < 0.8 else text[: rng.randrange(len(text))])
    return rng.choice([folder, index])


KINDS: tuple[Damage, ...] = (
    truncated,
    flipped,
    flipped,
    overwritten,
    renamed,
    reshaped,
    retyped,
    mixed,
    hostile,
    tricky_pth,
    damaged_header,
    damaged_index,
)


def outcome(path: Path) -> str:
    """Load and run once; says how it ended, and lets no error but our own pass."""
    try:
        model = load_model(path, "cpu fp32")
    except RwkvError as error:
        says = str(error)
    else:
        return checked(model)
    assert says.isprintable()
    return "refused"


def checked(model: Model) -> str:
    """Look at a model's shapes and numbers, and run it once."""
    table = model.network.emb(torch.arange(model.config.vocab_size), torch.device("cpu"))
    assert table.shape == (model.config.vocab_size, model.config.n_embd)
    values = [*model.network.parameters(), table]
    assert all(bool(torch.isfinite(value).all()) for value in values)
    try:
        logits, _ = model.forward([0])
    except NonFiniteError:
        return "overflowed"
    assert bool(torch.isfinite(logits).all())
    assert logits.shape == (1, model.config.vocab_size)
    return "ran"


@pytest.fixture(scope="module")
def base() -> dict[str, Tensor]:
    block_library()  # compiled once, which counts for no file
    return RANDOM_WEIGHTS["7"](**SIZES, ranks=Ranks(w=6, a=5, v=3, g=7))


@pytest.mark.parametrize("part", range(PARTS))
def test_damaged_files_are_refused_or_checked(
    tmp_path: Path, base: dict[str, Tensor], part: int
) -> None:
    outcomes = []
    for case in range(part * CASES // PARTS, (part + 1) * CASES // PARTS):
        rng = random.Random(case)
        folder = tmp_path / str(case)
        folder.mkdir()
        damage = KINDS[case % len(KINDS)]
        path = damage(rng, folder, dict(base))
        start = time.monotonic()
        try:
            outcomes.append(outcome(path))
        except Exception as error:
            error.add_note(f"case {case}, {damage.__name__}")
            raise
        assert time.monotonic() - start < SECONDS_PER_FILE, f"case {case}, {damage.__name__}"
        assert not (folder / "ran").exists(), f"case {case} ran code"
    assert outcomes.count("refused") > CASES // PARTS // 3


def test_code_that_is_not_refused_would_be_seen(tmp_path: Path) -> None:
    # What the fuzzer's hostile pickles do where something unpickles them.
    pickle.loads(pickle.dumps(Hostile(tmp_path / "ran", exec)))
    assert (tmp_path / "ran").exists()


def test_files_that_are_not_damaged_run(tmp_path: Path, base: dict[str, Tensor]) -> None:
    for case in range(10):
        assert outcome(whole_file(random.Random(case), tmp_path, dict(base))) == "ran"
    save_file(as_web_rwkv(base, generation="7"), tmp_path / "again.st")
    assert outcome(tmp_path / "again.st") == "ran"
