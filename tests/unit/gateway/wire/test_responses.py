import msgspec

from services.gateway.wire.responses import Item, Part, ResponsesRequest, Tool


def test_what_is_not_known_is_kept_by_its_name() -> None:
    body = (
        b'{"model":"m","future":1,"input":[{"role":"user","content":"hi"},{"type":"future_item","role":null,"x":[1]},'
        b'{"type":"message","role":"user","content":[{"type":"future_part","y":1}]}],"tools":[{"type":"future_tool"}]}'
    )
    request = msgspec.json.decode(body, type=ResponsesRequest)

    assert request.input == [
        Item(role="user", content="hi"),
        Item(type="future_item"),
        Item(role="user", content=[Part("future_part")]),
    ]
    assert request.tools == [Tool("future_tool")]
