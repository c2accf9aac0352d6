"""The examination of a request head, rule by rule; tests/component/guard/test_probes.py shows it on the wire."""

import pytest

from services.chassis.http_guard.head import BARE, Head, examine, limit_for, too_large
from services.chassis.http_guard.limits import GuardLimits, Refusal

HOST = (b"host", b"gate.example")
LIMITS = GuardLimits(
    body=1000, other_body=10, body_paths=frozenset({b"/large"}), header_count=5, headers=200, request_line=50
)


def head(*headers: tuple[bytes, bytes], method: bytes = b"POST", url: bytes = b"/large", version: str = "1.1") -> Head:
    every = [HOST, *headers]
    return examine(method, url, version, every, dict(every), LIMITS)


def status(*headers: tuple[bytes, bytes], **start_line: object) -> int:
    with pytest.raises(Refusal) as refused:
        head(*headers, **start_line)  # type: ignore[arg-type] # passed on as they are
    assert refused.value.message
    return refused.value.status


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_request_without_a_body_is_bare(version: str) -> None:
    assert head(version=version) is BARE
    assert head((b"authorization", b"Bearer a"), (b"x-api-key", b"a"), (b"content-type", b"a/b")) is BARE
    assert head((b"content-length", b"0")) is BARE


def test_a_body_is_described_by_its_framing() -> None:
    assert head((b"content-length", b"7")) == Head(length=7, limit=1000)
    assert head((b"content-length", b"7 \t")) == Head(length=7, limit=1000)
    assert head((b"transfer-encoding", b"CHUNKED")) == Head(chunked=True, limit=1000)
    assert head((b"content-length", b"7"), (b"expect", b"100-Continue")).expects
    assert head((b"upgrade", b"h2c"), (b"content-length", b"7")) == Head(length=7, limit=1000, upgrade=True)
    assert head((b"content-encoding", b" Identity "), (b"content-length", b"1")).length == 1


@pytest.mark.parametrize(
    ("url", "limit"), [(b"/large", 1000), (b"/large?beta=true", 1000), (b"/larger", 10), (b"/large/", 10)]
)
def test_the_limit_is_that_of_the_path(url: bytes, limit: int) -> None:
    assert limit_for(url, LIMITS) == limit
    assert head((b"content-length", b"%d" % limit), url=url).limit == limit
    assert status((b"content-length", b"%d" % (limit + 1)), url=url) == 413


def test_without_listed_paths_all_take_the_full_size() -> None:
    assert limit_for(b"/any", GuardLimits(body=5)) == 5


def test_a_body_that_is_too_large_names_the_limit() -> None:
    refusal = too_large(1000)

    assert (refusal.status, str(refusal)) == (413, "The request body is larger than 1000 bytes.")


@pytest.mark.parametrize("value", [b"a", b"a.b-c_d", b"a:1", b"127.0.0.1:8080", b"[::1]", b"[fe80::1]:443", b"a" * 255])
def test_clean_hosts(value: bytes) -> None:
    assert examine(b"GET", b"/", "1.1", [(b"host", value)], {b"host": value}, GuardLimits()) is BARE


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b"a b",
        b"a/b",
        b"a@b",
        b"a,b",
        b"a:",
        b"a:x",
        b"a:123456",
        b"[::1",
        b"::1",
        b"[x]",
        b"a\n",
        b"\xc3\xa4",
        b"a" * 256,
    ],
)
def test_unclean_hosts(value: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        examine(b"GET", b"/", "1.1", [(b"host", value)], {b"host": value}, GuardLimits())

    assert refused.value.status == 400


@pytest.mark.parametrize("name", [b"host", b"content-length", b"transfer-encoding", b"content-encoding", b"content-type", b"expect", b"upgrade", b"authorization", b"x-api-key"])  # fmt: skip
def test_what_there_may_be_only_one_of(name: bytes) -> None:
    value = {b"content-length": b"1", b"transfer-encoding": b"chunked"}.get(name, b"identity")

    assert status((name, value), (name, value)) == 400


def test_other_headers_may_repeat() -> None:
    assert head((b"cookie", b"a=1"), (b"cookie", b"b=2")) is BARE


def test_refusals_of_the_start_line() -> None:
    assert status(url=b"/" + b"a" * 50) == 414
    assert status(url=b"gate.example:443", method=b"CONNECT") == 400
    assert status(url=b"http://gate.example/") == 400
    assert status(url=b"*", method=b"OPTIONS") == 400
    assert status(url=b"") == 400
    assert status(url=b"/a#b") == 400
    assert status(url=b"/\xc3\xa4") == 400
    assert status(version="2.0") == 505
    assert status(version="0.9") == 505


def test_refusals_of_the_headers() -> None:
    assert status(*[(b"a", b"b")] * 5) == 431
    assert status((b"a", b"b" * 178)) == 431
    assert head((b"a", b"b" * 175)) is BARE
    assert status((b"x_y", b"1")) == 400


def test_refusals_of_the_body_s_framing() -> None:
    assert status((b"content-length", b"1"), (b"transfer-encoding", b"chunked")) == 400
    assert status((b"transfer-encoding", b"chunked"), version="1.0") == 400
    assert status((b"transfer-encoding", b"gzip, chunked")) == 400
    assert status((b"content-length", b"-1")) == 400
    assert status((b"content-length", b"")) == 400
    assert status((b"upgrade", b"h2c"), (b"transfer-encoding", b"chunked")) == 400
    assert status((b"content-encoding", b"gzip")) == 415
    assert status((b"content-encoding", b"")) == 415
    assert status((b"expect", b"202-accepted"), (b"content-length", b"1")) == 417


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_methods_that_have_no_body(method: bytes) -> None:
    assert head((b"content-length", b"0"), method=method) is BARE
    assert status((b"content-length", b"1"), method=method) == 400
    assert status((b"transfer-encoding", b"chunked"), method=method) == 400


def test_two_hosts_are_not_one() -> None:
    with pytest.raises(Refusal):
        examine(b"GET", b"/", "1.1", [HOST, HOST], dict([HOST]), LIMITS)
    with pytest.raises(Refusal):
        examine(b"GET", b"/", "1.1", [], {}, LIMITS)
