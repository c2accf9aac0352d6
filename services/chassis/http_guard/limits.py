"""What one client connection may cost."""

import msgspec


class GuardLimits(msgspec.Struct, frozen=True, kw_only=True):
    """promises.md C7; bytes and seconds. The defaults are what a process gets that says nothing."""

    connections: int = 2000  # more are closed as they come
    request_line: int = 8 * 1024
    headers: int = 32 * 1024  # names, values and separators together
    header_count: int = 100
    header_seconds: float = 10.0  # from connecting, or from a request's first byte, to the end of its head
    body: int = 32 * 1024 * 1024
    other_body: int = 64 * 1024  # of paths outside `body_paths`
    body_paths: frozenset[bytes] | None = None  # raw paths that may carry `body`; None: every path may
    body_grace_seconds: float = 30.0  # any body may take this long
    body_rate: int = 16 * 1024  # beyond that it must have come at this many bytes a second
    body_seconds: float = 120.0  # and no body may take longer than this
    framing_slack: int = 64 * 1024  # chunk framing beyond twice the payload and this is an attack
    pipelined: int = 32  # requests that may wait behind a running one
    keep_alive: float = 75.0  # must exceed the idle time of whatever proxies stand in front
    write_stall: float = 30.0  # for a client to take any byte of what it was sent
    linger: float = 2.0  # a refused client may finish sending into the void, so that it reads its refusal
    sweep: float = 0.5  # how often deadlines are looked at, and so how late they may fire


class Refusal(Exception):
    """A request that is not let in, with the status and the text its client gets."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
