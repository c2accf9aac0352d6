"""The scripts of the Redis store: `lua/*.lua`, each touching keys of one Cluster slot only."""

from pathlib import Path
from typing import Final

from services.chassis.redis.script import load

_DIRECTORY: Final = Path(__file__).parent / "lua"


BEGIN: Final = load(_DIRECTORY / "begin.lua")
END: Final = load(_DIRECTORY / "end.lua")
GENERATION: Final = load(_DIRECTORY / "generation.lua")
PUT: Final = load(_DIRECTORY / "put.lua")
REMOVE: Final = load(_DIRECTORY / "remove.lua")
ACQUIRE: Final = load(_DIRECTORY / "acquire.lua")
RENEW: Final = load(_DIRECTORY / "renew.lua")
RELEASE: Final = load(_DIRECTORY / "release.lua")
READ: Final = load(_DIRECTORY / "read.lua")
ONCE: Final = load(_DIRECTORY / "once.lua")

# First number of ACQUIRE's answer; the third is 2, stale.
GRANTED: Final = 0
BUSY: Final = 1
