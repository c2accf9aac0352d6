"""The gateway's own Redis user may keep the books, and nothing tells it to do more."""

import re
from pathlib import Path

from services.chassis.redis.address import Login, parse
from services.chassis.secret import Secret
from services.gateway.books.port import Tally, UsageKey
from services.gateway.books.redis import RedisBooks
from tests.support.redis_server import Server

USERS = Path(__file__).parents[3] / "deploy" / "redis" / "users.acl"
KEY = UsageKey(480_000, "glm-5.2", "k", "c")


async def test_the_gateways_user_may_do_what_books_need(tmp_path: Path) -> None:
    users = re.sub(r"PASSWORD-OF-\S+", "a-password-for-a-test", USERS.read_text())
    (tmp_path / "users.acl").write_text(users)
    with Server(tmp_path / "redis", f"aclfile {tmp_path}/users.acl") as server:
        login = Login(username="zr-gw", password=Secret("a-password-for-a-test"))
        books = RedisBooks(parse(f"{server.url}?deadline=5000", login), "one", hours=1)
        await books.write({KEY: Tally(requests=1)})
        await books.note("quota", b"x", 60)

        assert {KEY: Tally(requests=1)} == await books.read(KEY.hour, KEY.hour)
        assert await books.claim("quota", 60)
        assert b"x" == await books.recall("quota")
        await books.aclose()
