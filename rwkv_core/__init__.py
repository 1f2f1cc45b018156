"""Runtime for RWKV language models: weights, maths, state, sampling, engine.

Example, with a `tokenizer.json` beside the checkpoint:

    from pathlib import Path
    from rwkv_core import GenerationSettings, load_model, load_tokenizer
    from rwkv_core.generate import generate

    model = load_model("model.safetensors")
    tokenizer, _ = load_tokenizer(Path("model.safetensors"), model.config.vocab_size)
    for token in generate(model, tokenizer, tokenizer.encode("Once"), GenerationSettings()):
        print(token.text, end="")

Names are imported when they are first used, so that `import rwkv_core` does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rwkv_core.config import ModelConfig
    from rwkv_core.engine import Engine
    from rwkv_core.errors import RwkvError
    from rwkv_core.generate import GenerationSettings, Token
    from rwkv_core.limits import EngineLimits
    from rwkv_core.models import Model, load_model
    from rwkv_core.pipeline import PIPELINE, PIPELINE_ARGS, RWKV
    from rwkv_core.recording import Recording
    from rwkv_core.sampling import SamplingSettings
    from rwkv_core.state import State
    from rwkv_core.state_files import load_initial_state
    from rwkv_core.switches import explain_switches
    from rwkv_core.switching import load_engine
    from rwkv_core.tokenizer import Tokenizer, load_tokenizer

__all__ = [
    "PIPELINE",
    "PIPELINE_ARGS",
    "RWKV",
    "Engine",
    "EngineLimits",
    "GenerationSettings",
    "Model",
    "ModelConfig",
    "Recording",
    "RwkvError",
    "SamplingSettings",
    "State",
    "Token",
    "Tokenizer",
    "explain_switches",
    "load_engine",
    "load_initial_state",
    "load_model",
    "load_tokenizer",
]

_HOMES = {
    "config": ["ModelConfig"],
    "engine": ["Engine"],
    "switching": ["load_engine"],
    "errors": ["RwkvError"],
    "generate": ["GenerationSettings", "Token"],
    "limits": ["EngineLimits"],
    "models": ["Model", "load_model"],
    "pipeline": ["PIPELINE", "PIPELINE_ARGS", "RWKV"],
    "recording": ["Recording"],
    "sampling": ["SamplingSettings"],
    "state": ["State"],
    "state_files": ["load_initial_state"],
    "switches": ["explain_switches"],
    "tokenizer": ["Tokenizer", "load_tokenizer"],
}


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"rwkv_core.{module}"), name)
    if name == "trainer":
        return import_module("rwkv_core.trainer")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
