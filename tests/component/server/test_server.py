"""A whole process's life on loopback: start, serve, drain, end."""

import httpx2

from tests.support.serving import running_server


async def hello(scope, receive, send):
    assert scope["type"] == "http"
    body = b"hello"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": body})


async def test_serves_on_a_free_port():
    async with running_server(hello) as server, httpx2.AsyncClient() as client:
        answer = await client.get(server.url)

    assert answer.text == "hello"
    assert server.port > 0
