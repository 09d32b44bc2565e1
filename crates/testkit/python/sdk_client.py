"""An MCP client: the official Python SDK with its own OAuth code.

Speaks as sdk-client.mjs does: one JSON argument with the settings, JSON lines on both pipes.
"""

import asyncio
import json
import sys
from urllib.parse import parse_qs, urlparse

import httpx2
from mcp.client.auth import OAuthClientProvider
from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)

SETTINGS = json.loads(sys.argv[1])
REDIRECT_URL = f"http://localhost:{SETTINGS['redirect_port']}/callback"


def say(message):
    print(json.dumps(message), flush=True)


class Memory:
    """Where the SDK keeps what it was given."""

    def __init__(self, state):
        self.tokens = OAuthToken.model_validate(state["tokens"]) if state else None
        self.client = OAuthClientInformationFull.model_validate(state["client"]) if state else None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull):
        self.client = client_info


async def main():
    state = SETTINGS.get("state")
    memory = Memory(state)
    arrivals = asyncio.Queue()
    seen = {"states": [], "codes": []}

    async def on_redirect(reader, writer):
        target = (await reader.readline()).decode().split(" ")[1]
        while (await reader.readline()).strip():
            pass
        page = b"<!doctype html><title>Done</title><h1>You may close this window</h1>"
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n")
        writer.write(b"content-length: %d\r\n\r\n" % len(page) + page)
        await writer.drain()
        writer.close()
        if target.startswith("/callback"):
            await arrivals.put(parse_qs(urlparse(target).query))

    await asyncio.start_server(on_redirect, "127.0.0.1", SETTINGS["redirect_port"])

    async def show(url):
        query = parse_qs(urlparse(url).query)
        seen["states"] += query.get("state", [])
        say({"authorize": url})

    async def arrive():
        query = await arrivals.get()
        if "error" in query:
            raise RuntimeError(f"authorization failed: {query['error'][0]}")
        seen["codes"] += query["code"]
        return AuthorizationCodeResult(
            code=query["code"][0],
            state=query.get("state", [None])[0],
            iss=query.get("iss", [None])[0],
        )

    provider = OAuthClientProvider(
        server_url=SETTINGS["url"],
        client_metadata=OAuthClientMetadata(
            client_name=SETTINGS.get("name") or "Story client",
            redirect_uris=[REDIRECT_URL],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
        ),
        storage=memory,
        redirect_handler=show,
        callback_handler=arrive,
    )

    if state:
        # The SDK's storage has no place for it: an application keeps it itself.
        provider.context.token_expiry_time = state["expires_at"]

    async def commands(session):
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            message = json.loads(line)
            command = message["command"]
            try:
                say({"answer": command, "result": await answer(session, command, message)})
            except Exception as error:  # the harness judges it
                say({"answer": command, "error": f"{type(error).__name__}: {error}"})
            if command == "close":
                return

    async def answer(session, command, message):
        if command == "tools":
            return [tool.name for tool in (await session.list_tools()).tools]
        if command == "call":
            result = await session.call_tool(message["name"], message.get("arguments") or {})
            return result.model_dump(mode="json", by_alias=True, exclude_none=True)
        if command == "forget_access_token":
            provider.context.token_expiry_time = 1.0
            return None
        if command == "credentials":
            return {
                "client": memory.client.model_dump(mode="json") if memory.client else None,
                "tokens": memory.tokens.model_dump(mode="json") if memory.tokens else None,
                "expires_at": provider.context.token_expiry_time,
                "verifiers": [],
                **seen,
            }
        if command == "close":
            return None
        raise RuntimeError(f"unknown command {command}")

    async with httpx2.AsyncClient(auth=provider, timeout=30.0) as http_client:
        async with streamable_http_client(SETTINGS["url"], http_client=http_client) as streams:
            async with ClientSession(streams[0], streams[1]) as session:
                await session.initialize()
                say({"connected": True})
                await commands(session)


try:
    asyncio.run(main())
except BaseException as error:
    leaf = error
    while getattr(leaf, "exceptions", None):
        leaf = leaf.exceptions[0]
    say({"failed": f"{type(leaf).__name__}: {leaf}"})
    sys.exit(1)
