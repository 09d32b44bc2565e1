"""An MCP server with the tools, resources and prompts that the conformance suite asks for.

Built on the official Python SDK, which speaks the revisions with sessions and the stateless one.
Settings (one JSON argument): port.
"""

import asyncio
import json
import sys

import mcp_types as types
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.prompts.base import Message, UserMessage
from pydantic import BaseModel

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAAAAA=="

SETTINGS = json.loads(sys.argv[1])
server = MCPServer("conformance-server", version="1.0.0", log_level="WARNING")


def text(value: str) -> types.TextContent:
    return types.TextContent(type="text", text=value)


def image() -> types.ImageContent:
    return types.ImageContent(type="image", data=PNG, mime_type="image/png")


def embedded(uri: str, mime_type: str, value: str) -> types.EmbeddedResource:
    contents = types.TextResourceContents(uri=uri, mime_type=mime_type, text=value)
    return types.EmbeddedResource(type="resource", resource=contents)


def result(*content) -> types.CallToolResult:
    return types.CallToolResult(content=list(content))


@server.tool()
async def test_simple_text() -> types.CallToolResult:
    """A text."""
    return result(text("This is a simple text response for testing."))


@server.tool()
async def test_image_content() -> types.CallToolResult:
    """An image."""
    return result(image())


@server.tool()
async def test_audio_content() -> types.CallToolResult:
    """A sound."""
    return result(types.AudioContent(type="audio", data=WAV, mime_type="audio/wav"))


@server.tool()
async def test_embedded_resource() -> types.CallToolResult:
    """A resource within the answer."""
    return result(embedded("test://embedded-resource", "text/plain", "This is an embedded resource content."))


@server.tool()
async def test_multiple_content_types() -> types.CallToolResult:
    """Several kinds of content."""
    return result(
        text("Multiple content types test:"),
        image(),
        embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
    )


@server.tool()
async def test_error_handling() -> str:
    """An error."""
    raise ValueError("This tool intentionally returns an error for testing")


@server.tool()
async def test_tool_with_logging(ctx: Context) -> str:
    """Log messages on the way."""
    for message in ["Tool execution started", "Tool processing data", "Tool execution completed"]:
        await ctx.session.send_log_message("info", message, related_request_id=ctx.request_id)
        await asyncio.sleep(0.05)
    return "done"


@server.tool()
async def test_tool_with_progress(ctx: Context) -> str:
    """Progress on the way."""
    for progress in [0, 50, 100]:
        await ctx.report_progress(progress, 100)
        await asyncio.sleep(0.05)
    return "done"


@server.tool()
async def test_sampling(prompt: str, ctx: Context) -> str:
    """Asks the client's model."""
    answer = await ctx.session.create_message(
        [types.SamplingMessage(role="user", content=text(prompt))],
        max_tokens=100,
        related_request_id=ctx.request_id,
    )
    return f"LLM response: {getattr(answer.content, 'text', '')}"


async def ask(ctx: Context, message: str, properties: dict, required: list[str]):
    schema = {"type": "object", "properties": properties, "required": required}
    return await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)


@server.tool()
async def test_elicitation(message: str, ctx: Context) -> str:
    """Asks the person."""
    properties = {
        "username": {"type": "string", "description": "User's response"},
        "email": {"type": "string", "description": "User's email address"},
    }
    answer = await ask(ctx, message, properties, ["username", "email"])
    return f"User response: action={answer.action}, content={json.dumps(answer.content)}"


@server.tool()
async def test_elicitation_sep1034_defaults(ctx: Context) -> str:
    """Asks with defaults."""
    properties = {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    }
    answer = await ask(ctx, "Please confirm", properties, [])
    return f"Elicitation completed: action={answer.action}, content={json.dumps(answer.content)}"


@server.tool()
async def test_elicitation_sep1330_enums(ctx: Context) -> str:
    """Asks with choices."""

    def titled(prefix: str, suffix: str) -> list[dict]:
        numbers = zip(["1", "2", "3"], ["First", "Second", "Third"], strict=True)
        return [{"const": f"{prefix}{number}", "title": f"{word} {suffix}"} for number, word in numbers]

    options = ["option1", "option2", "option3"]
    properties = {
        "untitledSingle": {"type": "string", "enum": options},
        "titledSingle": {"type": "string", "oneOf": titled("value", "Option")},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled("value", "Choice")}},
    }
    answer = await ask(ctx, "Please choose", properties, [])
    return f"Elicitation completed: action={answer.action}, content={json.dumps(answer.content)}"


class Name(BaseModel):
    name: str


def input_required(requests: dict | None = None, state: str | None = None) -> types.InputRequiredResult:
    return types.InputRequiredResult(input_requests=requests, request_state=state)


def elicitation() -> types.ElicitRequest:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    return types.ElicitRequest(
        params=types.ElicitRequestFormParams(message="What is your name?", requested_schema=schema)
    )


@server.tool()
async def test_input_required_result_elicitation(ctx: Context) -> types.CallToolResult | types.InputRequiredResult:
    """Needs an answer of the person before it goes on (2026-07-28)."""
    answer = (ctx.input_responses or {}).get("user_name")
    content = getattr(answer, "content", None) or {}
    if "name" not in content:
        return input_required({"user_name": elicitation()})
    return result(text(f"Hello, {content['name']}!"))


@server.tool()
async def test_input_required_result_request_state(
    ctx: Context,
) -> types.CallToolResult | types.InputRequiredResult:
    """The same, with a state that comes back."""
    if ctx.request_state is None:
        return input_required({"confirm": elicitation()}, "state-1")
    return result(text("state-ok"))


@server.resource("test://static-text", mime_type="text/plain")
def static_text() -> str:
    return "This is the content of the static text resource."


@server.resource("test://static-binary", mime_type="image/png")
def static_binary() -> bytes:
    import base64

    return base64.b64decode(PNG)


@server.resource("test://template/{id}/data", mime_type="application/json")
def template(id: str) -> str:
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


@server.prompt()
def test_simple_prompt() -> list[Message]:
    return [UserMessage("This is a simple prompt for testing.")]


@server.prompt()
def test_prompt_with_arguments(arg1: str, arg2: str) -> list[Message]:
    return [UserMessage(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'")]


@server.prompt()
def test_prompt_with_embedded_resource(resourceUri: str) -> list[Message]:
    resource = embedded(resourceUri, "text/plain", "Embedded resource content for testing.")
    return [UserMessage(resource), UserMessage("Please process the embedded resource above.")]


@server.prompt()
def test_prompt_with_image() -> list[Message]:
    return [UserMessage(image()), UserMessage("Please analyze the image above.")]


@server.completion()
async def complete(ref, argument, context) -> types.Completion:
    values = [word for word in ["paris", "park", "party"] if word.startswith(argument.value)]
    return types.Completion(values=values, total=len(values), has_more=False)


server.run("streamable-http", host="127.0.0.1", port=SETTINGS["port"])
