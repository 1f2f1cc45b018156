"""The page's MCP tools, as an assistant calls them."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client


def tool_names(address: str) -> list[str]:
    """The names of all tools."""
    return _asked(address, "", {})


def call_tool(address: str, name: str, **values: Any) -> str:
    """What a tool answers; Gradio writes facts as Python does."""
    (text,) = _asked(address, name, values)
    return text


def _asked(address: str, name: str, values: dict[str, Any]) -> list[str]:
    # In a thread of its own: the browser's library keeps an event loop in the test's.
    with ThreadPoolExecutor(1) as other:
        return other.submit(lambda: asyncio.run(_with_session(address, name, values))).result()


async def _with_session(address: str, name: str, values: dict[str, Any]) -> list[str]:
    """Names of all tools where no name is given; otherwise the texts that the tool answers."""
    async with (
        streamable_http_client(f"{address}gradio_api/mcp/") as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        if not name:
            return [tool.name for tool in (await session.list_tools()).tools]
        result = await session.call_tool(name, values)
        return [getattr(part, "text", "") for part in result.content]
