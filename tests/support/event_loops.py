"""The event loops the gateway runs on, as parameters of the `anyio_backend` fixture."""

from typing import Final

UVLOOP: Final = ("asyncio", {"use_uvloop": True})
ASYNCIO: Final = ("asyncio", {"use_uvloop": False})
BOTH_LOOPS: Final = {"params": [UVLOOP, ASYNCIO], "ids": ["uvloop", "asyncio"]}
