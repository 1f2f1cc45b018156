import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from rwkv_core.config import ModelConfig
from rwkv_core.errors import RwkvError
from rwkv_core.generate import Token
from rwkv_core.recording import Recording
from rwkv_core.state import State
from rwkv_core.streams import Reason, Stream, StreamResult, TraceJob
from tests.rwkv_core.clock import Clock
from tests.rwkv_core.fakes import flat_recording


def new_stream(clock: Clock | None = None) -> Stream:
    return Stream(threading.Condition(), clock or Clock(), "a", 7)


def token(number: int) -> Token:
    return Token(number, str(number), 0.0)


def result(reason: Reason = "length") -> StreamResult:
    return StreamResult(reason, None, (), "", 0, 0, 0, 0.0, 0.0, 0.0, 0.0)


def recording() -> Recording:
    config = ModelConfig("7", 10, 1, 4, 4, 2, 2)
    return flat_recording([0], torch.zeros(1), State.zeros(config))


def test_batches_join_the_tokens_since_the_last_look() -> None:
    stream = new_stream()

    async def read() -> list[list[int]]:
        seen = []
        async for tokens in stream.batches(0):
            seen.append([token.id for token in tokens])
            if len(seen) == 1:
                stream.push(token(1))
                stream.push(token(2))
            if len(seen) == 2:
                stream.push(token(3))
                stream.finish(result())
        return seen

    assert asyncio.run(read()) == [[], [1, 2], [3]]
    assert stream.result == result()


def test_empty_batches_let_the_reader_look_at_the_progress() -> None:
    stream = new_stream()

    async def read() -> list[tuple[str, int, int]]:
        seen: list[tuple[str, int, int]] = []
        async for tokens in stream.batches(0):
            assert tokens == []
            status = stream.status
            seen.append((status.phase, status.queue_position, status.tokens_read))
            if len(seen) == 1:
                stream.report("waiting", queue_position=2)
            elif len(seen) == 2:
                stream.report("reading", tokens_read=4)
            elif len(seen) == 3:
                stream.finish(result())
        return seen

    assert asyncio.run(read()) == [
        ("waiting", 0, 0),
        ("waiting", 2, 0),
        ("reading", 0, 4),
        ("done", 0, 4),
    ]


def test_closing_the_generator_of_batches_cancels() -> None:
    stream = new_stream()

    async def read() -> None:
        batches = stream.batches(0)
        await anext(batches)
        assert stream.verdict(1.0) is None
        await batches.aclose()

    asyncio.run(read())
    assert stream.verdict(1.0) == "cancelled"


def test_cancelling_the_task_that_reads_cancels() -> None:
    stream = new_stream()

    async def read() -> None:
        async for _ in stream.batches(60):
            started.set()

    async def main() -> None:
        task = asyncio.create_task(read())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    started = asyncio.Event()
    asyncio.run(main())
    assert stream.verdict(1.0) == "cancelled"


def test_iterating_blocks_until_each_token_is_there() -> None:
    stream = new_stream()
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(lambda: [token.id for token in stream])
        for number in range(3):
            stream.push(token(number))
        stream.finish(result())
        assert reader.result(timeout=30) == [0, 1, 2]


def test_leaving_a_loop_over_tokens_cancels() -> None:
    stream = new_stream()
    stream.push(token(1))
    tokens = iter(stream)
    assert next(tokens).id == 1
    tokens.close()  # type: ignore[attr-defined]  # a generator, as `for` closes it
    assert stream.verdict(1.0) == "cancelled"


def test_a_stream_is_unread_when_nobody_looked_for_too_long() -> None:
    clock = Clock()
    stream = new_stream(clock)
    clock.now = 3.0
    assert stream.verdict(3.0) is None
    clock.now = 3.1
    assert stream.verdict(3.0) == "unread"

    async def look() -> None:
        await anext(stream.batches())
        assert stream.verdict(3.0) is None

    asyncio.run(look())


def test_a_reader_that_blocks_is_there_however_long_it_takes() -> None:
    clock = Clock()
    job = TraceJob(threading.Condition(), clock, "a", 7)
    verdicts = []

    def is_ready() -> bool:
        clock.now += 100
        verdicts.append(job.verdict(3.0))
        return True

    with job._lock:
        job._block_until(is_ready)
    assert verdicts == [None]
    assert job.verdict(3.0) is None


def test_progress_of_a_trace_ends_when_it_is_done() -> None:
    job, outcome = TraceJob(threading.Condition(), Clock(), "a", 7), recording()

    async def read() -> list[int]:
        seen = []
        async for status in job.progress(0):
            seen.append(status.tokens_read)
            if status.tokens_read == 0:
                job.report("reading", tokens_read=7)
            elif not job.is_done:
                job.finish(outcome)
        return seen

    assert asyncio.run(read()) == [0, 7, 7]
    assert job.recording is outcome
    assert job.result() is outcome


def test_a_failed_trace_raises_its_error_and_has_no_recording() -> None:
    job = TraceJob(threading.Condition(), Clock(), "a", 7)
    job.finish(RwkvError("no"))

    async def read() -> None:
        async for _ in job.progress(0):
            pass

    with pytest.raises(RwkvError, match="no"):
        job.result()
    with pytest.raises(RwkvError, match="no"):
        asyncio.run(read())
    assert job.recording is None


@pytest.mark.parametrize("is_token", [True, False])
def test_what_is_new_comes_long_before_the_next_heartbeat(is_token: bool) -> None:
    stream = new_stream()

    async def read() -> list[list[int]]:
        looks = stream.batches(0, heartbeat_s=600)
        seen = [[one.id for one in await anext(looks)]]
        # From a thread of its own, as the engine does.
        await asyncio.to_thread(
            lambda: stream.push(token(5)) if is_token else stream.finish(result())
        )
        async with asyncio.timeout(30):
            seen.append([one.id for one in await anext(looks)])
        await looks.aclose()
        return seen

    assert asyncio.run(read()) == ([[], [5]] if is_token else [[], []])


def test_a_heartbeat_comes_without_news() -> None:
    async def read() -> int:
        looks = new_stream().batches(0, heartbeat_s=0.001)
        count = 0
        async for tokens in looks:
            assert tokens == []
            count += 1
            if count == 3:
                break
        await looks.aclose()
        return count

    assert asyncio.run(read()) == 3


def test_a_token_for_a_reader_whose_loop_has_ended_harms_nobody() -> None:
    stream = new_stream()

    async def look_once() -> None:
        await anext(stream.batches())

    asyncio.run(look_once())
    stream.push(token(1))
