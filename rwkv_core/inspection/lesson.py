"""What the classroom shows of one text: a token's walk, and two tricks against overflow at work."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rwkv_core.inspection.arrays import Floats
from rwkv_core.inspection.lab import Lab, Progress, Steps, Text
from rwkv_core.inspection.stability import LogSumExp, log_sum_exp
from rwkv_core.inspection.walk import Walk, walk_token
from rwkv_core.recording import Wanted

KEY_TOKENS = 128
# Keys are stretched until the largest is this, which float32's exp cannot hold.
STRETCHED_TO = 100.0


@dataclass(frozen=True, eq=False)
class Lesson:
    """A walk, and what the tricks are shown with.

    Attributes:
        walk: of the last token.
        keys: (T,) keys of the channel with the largest one, over the end of the text.
        first: position in the text of the first of them, from 0.
        stretched: the same, scaled until the largest is 100.
        total: RWKV-4's sum of exp(stretched) both ways.
        decay: (C,) decays of this token, of every channel of the layer.
    """

    walk: Walk
    keys: Floats
    first: int
    stretched: Floats
    total: LogSumExp
    decay: Floats


def explain_token(lab: Lab, text: Text, layer: int) -> Steps[Lesson]:
    """Walk a text's last token through a layer, and take what the tricks are shown with.

    Args:
        lab: what to read with.
        text: at least two tokens, or one after a root.
        layer: counted from 0.

    Raises:
        As walk_token.
    """
    walk = yield from walk_token(lab, text, layer)
    tail = list(text.ids[-min(KEY_TOKENS, lab.chunk_tokens) :])
    first, state = len(text.ids) - len(tail), lab.start
    before = text._replace(ids=text.ids[:first])
    if before.ids or before.root:
        # The keys are what the tokens have in this text, after all that it says before them.
        state = (yield from lab.read(before, len(text.ids))).state
    wanted = Wanted(inputs_tokens=len(tail), layers=(layer,))
    inputs = lab.model.trace(tail, state, wanted=wanted).layers[layer]
    yield Progress(len(text.ids) + first + len(tail))
    k = inputs.k.reshape(len(inputs.k), -1)
    channel = int(k.max(axis=0).argmax())
    log_decays = inputs.log_decay.reshape(-1, k.shape[1])
    log_decay = log_decays[:, channel].mean()
    keys: Floats = k[:, channel].astype(np.float64)
    largest = float(keys.max())
    stretched = keys * (STRETCHED_TO / largest) if largest > 0 else keys + STRETCHED_TO
    total = log_sum_exp(stretched, float(log_decay))
    return Lesson(walk, keys, first, stretched, total, np.exp(log_decays[-1].astype(np.float64)))
