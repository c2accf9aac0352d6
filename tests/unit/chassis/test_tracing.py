"""Trace context is read as W3C says, traces are kept as the standard variables say, and nothing costs without one."""

import pytest

from services.chassis.tracing import (
    Finished,
    Remote,
    Sampler,
    Span,
    begun,
    current,
    outgoing,
    received,
    sampler_of,
    step,
)

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADER = f"00-{TRACE}-{PARENT}-01"


class _Sink:
    def __init__(self) -> None:
        self.spans: list[Finished] = []

    def add(self, span: Finished) -> None:
        self.spans.append(span)


def test_a_callers_span_is_read() -> None:
    assert Remote(TRACE, PARENT, sampled=True) == received(HEADER)
    assert Remote(TRACE, PARENT, sampled=False) == received(f"00-{TRACE}-{PARENT}-00")
    assert Remote(TRACE, PARENT, sampled=True) == received(f"01-{TRACE}-{PARENT}-09-what-is-to-come")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "00",
        HEADER.upper(),
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}x-{PARENT}-01",
        f" {HEADER}",
        f"{HEADER}\n",
    ],
)
def test_what_is_none_is_none(header: str | None) -> None:
    assert received(header) is None


def test_a_trace_goes_on_or_begins() -> None:
    sink = _Sink()
    going_on = begun(sink, Sampler(), received(HEADER))
    assert (TRACE, PARENT, True) == (going_on.trace_id, going_on.parent_id, going_on.sampled)
    assert going_on.traceparent.startswith(f"00-{TRACE}-{going_on.span_id}-01")

    new = begun(sink, Sampler(ratio=0.0), None)
    assert (None, False) == (new.parent_id, new.sampled)
    assert Remote(new.trace_id, new.span_id, sampled=False) == received(new.traceparent)


@pytest.mark.parametrize(
    ("name", "argument", "sampler"),
    [
        (None, None, Sampler()),
        ("always_on", None, Sampler(follows_parent=False)),
        ("always_off", None, Sampler(ratio=0.0, follows_parent=False)),
        ("parentbased_always_off", None, Sampler(ratio=0.0)),
        ("traceidratio", "0.25", Sampler(ratio=0.25, follows_parent=False)),
        ("parentbased_traceidratio", "7", Sampler(ratio=1.0)),
        ("traceidratio", "a half", Sampler(follows_parent=False)),
        ("something else", None, Sampler()),
    ],
)
def test_the_standard_variables_say_which_are_kept(name: str | None, argument: str | None, sampler: Sampler) -> None:
    environ = {"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument}

    assert sampler == sampler_of({key: value for key, value in environ.items() if value is not None})


def test_a_share_of_the_ids_is_kept_by_all_alike() -> None:
    sampler = Sampler(ratio=0.5, follows_parent=False)
    kept = [sampler.keeps(f"{number * 0x9E3779B97F4A7C15 % (1 << 128):032x}", None) for number in range(1000)]

    assert 400 < sum(kept) < 600
    assert Sampler(ratio=1.0).keeps("f" * 32, None)
    assert not Sampler(ratio=0.0).keeps("0" * 31 + "1", None)
    assert Sampler(ratio=0.0).keeps("f" * 32, Remote(TRACE, PARENT, sampled=True))


def test_without_a_span_nothing_is_recorded_and_nothing_sent() -> None:
    with step("call"):
        assert {} == outgoing()


def test_a_step_is_a_part_of_what_is_under_way() -> None:
    sink = _Sink()
    above = Span(sink, TRACE, None, sampled=True)
    token = current.set(above)
    sent: list[Remote | None] = []
    try:
        with pytest.raises(OSError, match="planted"):
            _fail_within_steps(sent)
    finally:
        current.reset(token)

    inner, outer = sink.spans
    assert (outer.span_id, above.span_id) == (inner.parent_id, outer.parent_id)
    assert [Remote(TRACE, inner.span_id, sampled=True)] == sent
    assert ("OSError", {"provider": "zai"}, "client") == (outer.error, outer.attributes, outer.kind)
    assert ("", "internal") == (inner.error, inner.kind)
    assert outer.began <= inner.began <= inner.ended <= outer.ended


def test_what_is_not_sampled_is_told_to_others_and_not_recorded() -> None:
    sink = _Sink()
    token = current.set(Span(sink, TRACE, None, sampled=False))
    try:
        with step("call"):
            assert outgoing()["traceparent"].endswith("-00")
    finally:
        current.reset(token)

    assert [] == sink.spans


def _fail_within_steps(sent: list[Remote | None]) -> None:
    with step("outer", provider="zai"):
        with step("inner", "internal"):
            sent.append(received(outgoing()["traceparent"]))
        raise OSError("planted: a text that holds what it must not")
