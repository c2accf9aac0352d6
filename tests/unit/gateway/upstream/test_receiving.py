import pytest

from services.gateway.upstream.receiving import told
from services.gateway.upstream.transport import ConnectionLost


def test_a_call_that_works_is_no_failure() -> None:
    got: list[bytes] = []
    assert told(got.append, b"data") is None
    assert got == [b"data"]


def test_a_call_that_raises_is_a_failure_and_its_text_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    def broken(data: bytes) -> None:
        raise ValueError(data)

    assert isinstance(told(broken, b"sk-secret"), ConnectionLost)
    assert "ValueError at broken" in caplog.text
    assert "sk-secret" not in caplog.text
