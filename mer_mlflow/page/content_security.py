"""Security policy of the page: browsers fetch nothing for it from other computers.

References
----------
W3C, "Content Security Policy Level 3", https://www.w3.org/TR/CSP3/
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; frame-ancestors 'self'; "
    "form-action 'self'"
)
"""Gradio writes scripts and styles into the page; they may fetch from this server only."""

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]


@dataclass(frozen=True)
class ContentSecurity:
    """ASGI application whose answers carry the policy.

    Attributes
    ----------
    app : the application
    """

    app: Callable[[Message, Receive, Send], Awaitable[None]]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_closed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"referrer-policy", b"no-referrer")]
                message["headers"] = [*headers, (b"content-security-policy", POLICY.encode())]
            await send(message)

        await self.app(scope, receive, send_closed)
