"""An MCP client: FastMCP with its own OAuth code, callback server and token store.

Speaks as sdk-client.mjs does: one JSON argument with the settings, JSON lines on both pipes. What it
keeps lies in the settings' `directory`.
"""

import asyncio
import json
import sys
import webbrowser

from fastmcp import Client
from fastmcp.client.auth import OAuth
from key_value.aio.stores.filetree import (
    FileTreeStore,
    FileTreeV1CollectionSanitizationStrategy,
    FileTreeV1KeySanitizationStrategy,
)

SETTINGS = json.loads(sys.argv[1])


def say(message):
    print(json.dumps(message), flush=True)


class Window(webbrowser.BaseBrowser):
    """The person's browser: whoever started this process."""

    def open(self, url, new=0, autoraise=True):
        say({"authorize": url})
        return True


async def answer(client, oauth, command, message):
    if command == "tools":
        return [tool.name for tool in await client.list_tools()]
    if command == "call":
        result = await client.call_tool_mcp(message["name"], message.get("arguments") or {})
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)
    if command == "credentials":
        kept = oauth.token_storage_adapter
        tokens, registered = await kept.get_tokens(), await kept.get_client_info()
        return {
            "client": registered.model_dump(mode="json") if registered else None,
            "tokens": tokens.model_dump(mode="json") if tokens else None,
        }
    if command == "close":
        return None
    raise RuntimeError(f"unknown command {command}")


def store(directory):
    """Its keys are URLs: the names of files are made from them."""
    return FileTreeStore(
        data_directory=directory,
        key_sanitization_strategy=FileTreeV1KeySanitizationStrategy(directory),
        collection_sanitization_strategy=FileTreeV1CollectionSanitizationStrategy(directory),
    )


async def main():
    webbrowser.register("story", None, Window("story"), preferred=True)
    oauth = OAuth(
        client_name=SETTINGS.get("name") or "Story client",
        token_storage=store(SETTINGS["directory"]),
        callback_port=SETTINGS["redirect_port"],
    )
    async with Client(SETTINGS["url"], auth=oauth) as client:
        say({"connected": True})
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            message = json.loads(line)
            command = message["command"]
            try:
                say({"answer": command, "result": await answer(client, oauth, command, message)})
            except Exception as error:  # the harness judges it
                say({"answer": command, "error": f"{type(error).__name__}: {error}"})
            if command == "close":
                return


try:
    asyncio.run(main())
except BaseException as error:
    leaf = error
    while getattr(leaf, "exceptions", None):
        leaf = leaf.exceptions[0]
    say({"failed": f"{type(leaf).__name__}: {leaf}"})
    sys.exit(1)
