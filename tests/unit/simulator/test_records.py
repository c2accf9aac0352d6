"""What the simulator remembers."""

from services.simulator.records import Records, Request, to_json
from services.simulator.settings import SimulatorSettings


def _request(number: int, body: bytes = b"", target: bytes = b"/p?q=1") -> Request:
    headers = ((b"X-One", b"1"), (b"x-one", b"2"))
    return Request(number=number, at=1.0, method="POST", target=target, headers=headers, body=body, keep_alive=True)


def test_only_the_last_requests_are_kept_but_all_are_counted() -> None:
    records = Records(SimulatorSettings(record=2))
    for number in range(5):
        records.add(_request(number))

    assert [request.number for request in records.requests] == [3, 4]
    assert records.state()["requests"] == 5


def test_large_bodies_push_out_older_ones_but_never_themselves() -> None:
    records = Records(SimulatorSettings(record_bytes=10))
    for number in range(3):
        records.add(_request(number, b"x" * 6))
    records.add(_request(3, b"x" * 50))

    assert [request.number for request in records.requests] == [3]


def test_a_reset_forgets_all_but_what_is_open() -> None:
    records = Records(SimulatorSettings())
    records.open_connections = records.open_streams = 2
    records.add(_request(1))
    records.cancel(_request(1), 10)
    records.reset()

    assert records.state() == {
        "requests": 0,
        "completed": 0,
        "connections": 2,
        "open_connections": 2,
        "open_streams": 2,
        "cancelled": [],
    }


def test_a_cancellation_says_when_and_how_far() -> None:
    records = Records(SimulatorSettings())
    records.cancel(_request(4), 123)

    (cancelled,) = records.cancelled
    assert (cancelled.number, cancelled.path, cancelled.sent) == (4, "/p", 123)
    assert cancelled.at > 1.7e9


def test_headers_are_shown_raw_and_looked_up_in_lower_case() -> None:
    request = _request(1, b'{"a":1}')

    assert to_json(request)["headers"] == [["X-One", "1"], ["x-one", "2"]]
    assert to_json(request)["body"] == '{"a":1}'
    assert to_json(request)["path"] == "/p?q=1"
    assert request.path == "/p"
    assert request.header(b"x-one") == b"1"
    assert request.header(b"x-two") is None


def test_a_body_that_is_no_text_is_shown_as_base64() -> None:
    assert to_json(_request(1, b"\xff\x00"))["body_base64"] == "/wA="
