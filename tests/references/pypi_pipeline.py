"""One script that calls what code for the PyPI package rwkv calls, and a way to run it.

It runs in a process of its own, since the package reads the environment at import, either as
it stands or with nothing but its imports changed. It prints what it found as one line of JSON.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGE_IMPORTS = """
from rwkv.model import RWKV
from rwkv.utils import PIPELINE, PIPELINE_ARGS
"""
OUR_IMPORTS = """
from rwkv_core import RWKV, PIPELINE, PIPELINE_ARGS
"""
# Three are likely; the settings cut among them and behind them.
LOGITS = [3.0, 2.5, 2.4, 1.0, 0.0, -1.0, -2.0, -30.0]
SETTINGS = [(1.0, 0.85, 0), (0.5, 0.85, 2), (2.0, 0.95, 0), (1.5, 0.5, 3), (1.0, 0.0, 0)]
DRAWS = 1500
# The package collects garbage after every layer that it loads, which takes longer than all the rest.
COLLECT_NOTHING = "import gc; gc.collect = lambda generation=2: 0"

# Arguments: a tokenizer JSON file, then paths of models without .pth.
SCRIPT = f"""
import copy
import json
import os
import sys

# Before the import, as the package wants it.
os.environ["RWKV_JIT_ON"] = "1"
os.environ["RWKV_CUDA_ON"] = "0"
import numpy as np
import torch

np.set_printoptions(precision=4, suppress=True, linewidth=200)
{PACKAGE_IMPORTS}

def describe(path):
    model = RWKV(model=path, strategy="cpu fp32")
    pipeline = PIPELINE(model, sys.argv[1])
    found = {{"sizes": [model.args.n_layer, model.args.n_embd]}}

    # Five at once, and the same five as 2 + 1 + 2.
    out, state = model.forward([187, 510, 1563, 310, 247], None)
    found["at once"] = out.detach().cpu().numpy().tolist()
    out, state = model.forward([187, 510], None)
    out, state = model.forward([1563], state)
    out, state = model.forward([310, 247], state)
    found["in parts"] = out.detach().cpu().numpy().tolist()
    out, _ = model.forward([187, 510, 1563], None, full_output=True)
    found["every"] = [row.tolist() for row in out]

    # A prompt fed character by character, and a long text in chunks of 1,024 tokens.
    state = None
    for character in "A wolf ran":
        out, state = pipeline.model.forward(pipeline.encode(character), state)
    found["characters"] = out.tolist()
    ids, state = pipeline.encode("tale " * 205), None
    while len(ids) > 0:
        out, state = model.forward(ids[:1024], state)
        ids = ids[1024:]
    found["chunks"] = out.tolist()

    # The loop of a chat: its own penalties on logits, a state kept by deepcopy, text that is
    # shown when it is whole.
    kept, turns = copy.deepcopy(state), []
    for turn in range(2):
        occurrence, written, shown, begin = {{}}, [], [], 0
        state = copy.deepcopy(kept)
        out, state = model.forward(pipeline.encode("Q: 12 wolves?\\n\\nA:"), state)
        for i in range(16):
            for n in occurrence:
                out[n] -= 0.5 + occurrence[n] * 0.4
            out[0] -= 1e10
            token = pipeline.sample_logits(out, temperature=1.0, top_p=0.0)
            out, state = model.forward([token], state)
            written += [token]
            for n in occurrence:
                occurrence[n] *= 0.99
            occurrence[token] = 1 + (occurrence[token] if token in occurrence else 0)
            text = pipeline.decode(written[begin:])
            if "\\ufffd" not in text:
                shown.append(text)
                begin = i + 1
        turns.append([written, shown])
    found["turns"] = turns

    # The package's own loop: penalties, a ban, a stop, chunks, a callback, a state.
    def generate(ctx, count, state=None, **settings):
        pieces = []
        settings = {{"top_p": 0.0, "chunk_len": 5, "token_ban": [0]}} | settings
        args = PIPELINE_ARGS(**settings)
        text = pipeline.generate(ctx, count, args=args, callback=pieces.append, state=state)
        assert text == "".join(pieces)
        return text

    # Few ids, digits and a space among them, so that the penalties decide.
    few = {{"token_ban": [n for n in range(1600) if n not in (1, 2, 3, 4, 5, 55, 56, 57)]}}
    heavy = {{"alpha_frequency": 0.9, "alpha_presence": 0.5, "alpha_decay": 0.8}}
    found["texts"] = [
        generate("Once 12 wolves", 30),
        generate("Once 12 wolves", 30, **few, alpha_frequency=0.0, alpha_presence=0.0),
        generate("Once 12 wolves", 30, **few),
        generate("Once 12 wolves", 30, **few, **heavy),
        generate("Once 12 wolves", 30, **few, **heavy, token_stop=[1, 4, 56]),
        generate("so", 10, copy.deepcopy(kept), temperature=0),
    ]
    contexts = ["", "  a \\r\\n\\n \\u3000b\\u3000\\n", "one\\ntwo  three"]
    found["contexts"] = [pipeline.refine_context(context) for context in contexts]
    return found


def draw(settings):
    pipeline = PIPELINE(None, sys.argv[1])
    np.random.seed(1)
    logits = torch.tensor({LOGITS})
    drawn = [pipeline.sample_logits(logits, *settings) for _ in range({DRAWS})]
    return np.bincount(drawn, minlength=len(logits)).tolist()


print(json.dumps({{
    "models": [describe(path) for path in sys.argv[2:]],
    "draws": [draw(settings) for settings in {SETTINGS}],
}}))
"""


def run_script(imports: str, tokenizer: Path, models: list[Path], *, is_v7: bool) -> Any:
    """Run the script.

    Args:
        imports: OUR_IMPORTS or PACKAGE_IMPORTS.
        tokenizer: a tokenizer JSON file whose ids reach 1,599.
        models: .pth files.
        is_v7: what the package must be told before its import.

    Returns:
        "models", what each model gave, and "draws", one histogram over LOGITS per SETTINGS.
    """
    script = COLLECT_NOTHING + SCRIPT.replace(PACKAGE_IMPORTS, imports)
    assert imports in script
    done = subprocess.run(
        [sys.executable, "-c", script, tokenizer, *(model.with_suffix("") for model in models)],
        cwd=ROOT,
        env=os.environ | {"RWKV_V7_ON": str(int(is_v7))},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])
