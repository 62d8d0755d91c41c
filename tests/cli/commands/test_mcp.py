"""`dashcam mcp` as the official client drives it, with a handshake and without."""

import asyncio
import os
import sys

import pytest

from ...processes import run
from ..recorded import record

DRAIN = "import sys; from dashcam.cli import main; sys.exit(main(['ship', '--drain']))"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The command over a local store with three events."""
    from mcp.client.stdio import StdioServerParameters  # here: every worker would import it, for 0.9 s

    folder = tmp_path_factory.mktemp("mcp")
    record(folder, 3)
    run(DRAIN, env={"DASHCAM_DIR": str(folder)})
    environment = {**os.environ, "DASHCAM_DIR": str(folder)}
    return StdioServerParameters(command=sys.executable, args=["-m", "dashcam", "mcp"], env=environment)


async def talk(server, mode):
    from mcp import Client

    async with Client(server, mode=mode, read_timeout_seconds=100) as client:
        tools = await client.list_tools()
        found = await client.call_tool("search", {"query": "created", "limit": 2})
        lost = await client.call_tool("story", {"id": "nobody"})
        return [tool.name for tool in tools.tools], found, lost


@pytest.mark.parametrize("mode", ["legacy", "auto", "2026-07-28"])
def test_the_official_client_is_served(server, mode):
    """In the versions before and after requests name their own."""
    names, found, lost = asyncio.run(talk(server, mode))

    assert names == ["overview", "errors", "story", "search", "doctor"]
    assert not found.is_error
    assert found.content[0].text.count("car created number=") == 2
    assert lost.is_error
    assert "No event has the ID" in lost.content[0].text
