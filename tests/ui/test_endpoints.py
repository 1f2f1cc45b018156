import asyncio

import pytest

from rwkv_core.errors import RwkvError, SettingsError
from tests.ui.fakes import FakeEngine, as_engine
from ui.endpoints import stream_text, style_settings


def test_text_comes_out_growing() -> None:
    async def collect() -> list[str]:
        settings = style_settings("Wild", 3)
        stream = stream_text(as_engine(FakeEngine()), None, (0, 1), settings)
        return [text async for text in stream]

    texts = asyncio.run(collect())
    assert texts[0] == " Once"
    assert texts[-1] == " Once there was a cat."


def test_a_failure_is_raised_after_the_text() -> None:
    engine = FakeEngine()
    engine.failure = RwkvError("broken; try again")

    async def collect() -> None:
        async for _ in stream_text(as_engine(engine), None, (0,), style_settings("Wild", -1)):
            pass

    with pytest.raises(RwkvError, match="broken"):
        asyncio.run(collect())


def test_styles_and_seeds_are_checked() -> None:
    assert style_settings("Precise", 4).sampling.seed == 4
    with pytest.raises(SettingsError, match="choose one of"):
        style_settings("Loud", -1)
