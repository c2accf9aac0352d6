"""What is known of one exchange when it is over: the source of its log line and its metrics. Never any content."""

from typing import Protocol

from services.gateway.translation.streams.events import Usage


class Observation:
    """Filled in along the way, read once at the end. Times are monotonic seconds, sizes bytes."""

    __slots__ = (
        "attempts",
        "begun_at",
        "bytes_in",
        "cancelled",
        "client_format",
        "code",
        "credential_id",
        "dropped",
        "ended_at",
        "first_byte_at",
        "head_at",
        "key_id",
        "method",
        "model",
        "overhead",
        "path",
        "plan",
        "provider",
        "request_id",
        "sent_at",
        "status",
        "stream",
        "trace_id",
        "upstream_code",
        "upstream_format",
        "upstream_request_id",
        "upstream_status",
        "usage",
    )

    def __init__(self, method: str, path: str, request_id: str, begun_at: float) -> None:
        self.method = method
        self.path = path
        self.request_id = request_id
        self.begun_at = begun_at
        self.key_id = ""
        self.client_format = ""
        self.upstream_format = ""
        self.provider = ""
        self.plan = ""
        self.credential_id = ""
        self.model = ""
        self.stream = False
        self.status = 0
        self.code: str | None = None  # ours, when the request failed
        self.upstream_status: int | None = None
        self.upstream_code: str | None = None
        self.upstream_request_id: str | None = None
        self.attempts = 0
        self.dropped: tuple[str, ...] = ()
        self.usage: Usage | None = None
        self.bytes_in = 0
        self.cancelled = False
        self.sent_at: float | None = None  # the last try went to the upstream
        self.head_at: float | None = None  # its answer's head came
        self.first_byte_at: float | None = None  # the client got its first byte
        self.overhead: float | None = None  # seconds spent here until the client's first byte
        self.ended_at = begun_at
        self.trace_id: str | None = None  # 32 hexadecimal digits, of an exchange that is traced

    def spent_here(self, now: float) -> float:
        """Return the seconds spent in this process so far: everything but waiting for the upstream."""
        if self.sent_at is None:
            return now - self.begun_at
        waited = (self.head_at or now) - self.sent_at
        return now - self.begun_at - waited


class Observer(Protocol):
    """Wants to know of finished exchanges. Must be cheap and must not raise."""

    def observe(self, observation: Observation) -> None:
        """Take note of one exchange that is over."""
