"""The fast path accepts exactly what a frame-by-frame reading would."""

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.translation.passthrough.template import Template, learn

HEAD, TAIL = b'data: {"id":"c","delta":{"content":"', b'"},"finish_reason":null}\n\n'


def template(head: bytes = HEAD, tail: bytes = TAIL, new_head: bytes = HEAD, new_tail: bytes = TAIL) -> Template:
    made = learn(head + b"x" + tail, new_head + b"x" + new_tail, b'"content":', b'"x"')
    assert made is not None
    return made


def test_a_run_of_frames_like_the_first_is_passed_as_the_same_object() -> None:
    data = b"".join(HEAD + text + TAIL for text in (b"", b"a", b"b c", b"\\n\\t", b'say \\"hi\\"', b"\xc3\xa9"))

    assert template().reach(data) == len(data)
    assert template().run(data) is data


def test_what_reaches_past_the_last_frame_is_left() -> None:
    data = HEAD + b"a" + TAIL + HEAD + b"b"

    assert template().reach(data) == len(HEAD + b"a" + TAIL)
    assert template().reach(b"event: x" + data) == 0
    assert template().reach(HEAD) == 0


def test_frames_of_another_kind_are_not_passed() -> None:
    good = HEAD + b"a" + TAIL
    for odd in (
        HEAD.replace(b'"c"', b'"d"') + b"a" + TAIL,
        HEAD + b'a","tool_calls":"' + TAIL,
        HEAD + b"a\n" + TAIL,
        HEAD + b"a\r" + TAIL,
        HEAD + b"a\\" + TAIL,
        HEAD + b"a" + TAIL.replace(b"null", b'"stop"'),
        b"\n" + good,
        HEAD[:-1] + TAIL,
        b": comment\n\n",
        b"data: [DONE]\n\n",
    ):
        assert template().one(odd) is None, odd
        for data in (good + odd + good, good + good + odd + good, odd + good + good + good):
            assert template().reach(data) != len(data) or template().run(data) is None, data


def test_two_faults_do_not_cancel_each_other() -> None:
    assert template().run(HEAD + b"a\\" + TAIL + HEAD + b'b"' + TAIL + HEAD + b"c" + TAIL) is None


def test_escaped_backslashes_are_told_from_escaped_quotes() -> None:
    good = HEAD + b'C:\\\\ and \\\\\\" and \\\\' + TAIL
    bad = HEAD + b'C:\\\\" and \\"' + TAIL

    assert template().run(good * 4) == good * 4
    assert template().one(good) == good
    assert template().run(good + bad + good + good) is None
    assert template().run(good + HEAD + b"\\\\\\" + TAIL + good + good) is None


def test_a_single_frame_is_read_exactly() -> None:
    assert template().run(HEAD + b'\\\\\\"' + TAIL) == HEAD + b'\\\\\\"' + TAIL
    assert template().run(HEAD + b'\\\\"' + TAIL) is None


def test_other_line_ends_are_part_of_the_template() -> None:
    tail = TAIL.replace(b"\n", b"\r\n")
    crlf = template(tail=tail, new_tail=tail)
    data = (HEAD + b"a" + tail) * 4

    assert crlf.run(data) is data
    assert crlf.run(data[:-2]) is None
    assert crlf.run((HEAD + b"a" + tail) * 3 + HEAD + b"a\r" + tail) is None


def test_a_member_that_is_dropped_in_one_is_dropped_in_all() -> None:
    long = HEAD.replace(b'"content"', b'"role":"assistant","content"')
    dropping = template(head=long)

    assert dropping.removed == b'role":"assistant","'
    assert dropping.run((long + b"a" + TAIL) * 5) == (HEAD + b"a" + TAIL) * 5
    assert dropping.one(long + b"\\n" + TAIL) == HEAD + b"\\n" + TAIL


def test_other_changes_are_made_in_all() -> None:
    index = template(new_head=HEAD.replace(b'"c"', b'"d"'))
    object_ = template(new_tail=TAIL.replace(b"null}", b'null,"object":"o"}'))
    twice = template(head=HEAD.replace(b"{", b'{"a":"a","a":"a",', 1))

    assert index.run((HEAD + b"a" + TAIL) * 4) == (HEAD.replace(b'"c"', b'"d"') + b"a" + TAIL) * 4
    assert object_.run((HEAD + b"a" + TAIL) * 4) == (HEAD + b"a" + object_.new_tail) * 4
    assert twice.run((twice.head + b"a" + TAIL) * 4) == (HEAD + b"a" + TAIL) * 4


def test_the_dropped_stretch_may_occur_between_frames_too() -> None:
    # What the head lost also stands where a tail meets a head, so it cannot be dropped by name.
    odd = template(head=b'"x"A\n"x"B"content":"', new_head=b'"x"AB"content":"', tail=b'"\n', new_tail=b'"\n')

    assert odd.removed == b'\n"x"'
    assert odd.run((odd.head + b"a" + odd.tail) * 4) == b'"x"AB"content":"a"\n' * 4


def test_no_template_is_made_of_what_is_ambiguous() -> None:
    once = b'{"content":"x"}\n\n'

    assert learn(once, once, b'"content":', b'"x"') is not None
    assert learn(b'{"content": \t"x"}\n\n', once, b'"content":', b'"x"') is not None
    assert learn(b'{"content":"x","content":"x"}\n\n', once, b'"content":', b'"x"') is None
    assert learn(once, b"{}\n\n", b'"content":', b'"x"') is None
    assert learn(once, once, b'"content":', b'"y"') is None
    assert learn(b'{"content":1}\n\n', once, b'"content":', b"1") is None


TEXTS = st.lists(st.sampled_from([b"a", b'"', b"\\", b"\n", b"\r", b'"}', b"{", HEAD, TAIL, b" "]), max_size=5).map(
    b"".join
)


@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_a_run_passes_only_what_every_frame_alone_would_pass(texts: list[bytes]) -> None:
    frames = [HEAD + text + TAIL for text in texts]
    data = b"".join(frames)

    if template().run(data) is not None:
        blocks = [block + b"\n\n" for block in data.split(b"\n\n")[:-1]]
        assert all(template().one(block) == block for block in blocks)
