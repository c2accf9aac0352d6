"""What is known of one exchange when it is over: the source of its log line and its metrics. Never any content."""

from typing import Protocol

from services.gateway.translation.streams.events import Usage


class Observation:
    """Filled in along the way, read once at the end. Times are monotonic seconds, sizes bytes."""

    # What is not set keeps the class's value: most of these are set late or never, and all of them cost something.
    key_id = ""
    client_format = ""
    upstream_format = ""
    provider = ""
    plan = ""
    credential_id = ""
    model = ""
    stream = False
    status = 0
    code: str | None = None  # ours, when the request failed
    upstream_status: int | None = None
    upstream_code: str | None = None
    upstream_request_id: str | None = None
    attempts = 0
    dropped: tuple[str, ...] = ()
    usage: Usage | None = None
    bytes_in = 0
    cancelled = False
    sent_at: float | None = None  # the last try went to the upstream
    head_at: float | None = None  # its answer's head came
    heard_at: float | None = None  # and what the client's first byte was made of, where that came later
    first_byte_at: float | None = None  # the client got its first byte
    overhead: float | None = None  # seconds spent here until the client's first byte
    trace_id: str | None = None  # 32 hexadecimal digits, of an exchange that is traced

    def __init__(self, method: str, path: str, request_id: str, begun_at: float) -> None:
        self.method = method
        self.path = path
        self.request_id = request_id
        self.begun_at = self.ended_at = begun_at

    def spent_here(self, now: float) -> float:
        """Return the seconds spent in this process so far: everything but waiting for the upstream."""
        if self.sent_at is None:
            return now - self.begun_at
        waited = (self.heard_at or self.head_at or now) - self.sent_at
        return now - self.begun_at - waited


class Observer(Protocol):
    """Wants to know of finished exchanges. Must be cheap and must not raise."""

    def observe(self, observation: Observation) -> None:
        """Take note of one exchange that is over."""
