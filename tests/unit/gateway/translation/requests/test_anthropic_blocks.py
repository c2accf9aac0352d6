"""Anthropic content blocks as OpenAI parts and texts."""

from typing import Any

import msgspec
import pytest

from services.gateway.dialect import Dialect
from services.gateway.translation.requests.anthropic_blocks import server_result_text
from services.gateway.translation.requests.marks import ERROR_MARK, UNSEEN_IMAGE
from services.gateway.wire.anthropic import WebSearchResultBlock
from tests.support.anthropic_requests import (
    GLM,
    IMAGE,
    IMAGE_PART,
    PDF,
    PDF_PART,
    PLAIN,
    assistant,
    call,
    refuse,
    result,
    translate,
    user,
)

FILE = {"type": "file", "file_id": "file_1"}
BLIND = msgspec.structs.replace(GLM, images=False)


def parts(*blocks: Any, dialect: Dialect = PLAIN) -> Any:
    return translate(dialect, messages=[user(*blocks)]).messages[0]["content"]


def document(source: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "document", "source": source} | fields


def test_an_image_of_bytes_is_a_data_url() -> None:
    assert parts(IMAGE) == [IMAGE_PART]


def test_b29_an_image_url_is_passed_on() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}

    assert parts(image) == [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]


def test_an_image_url_is_refused_where_the_upstream_fetches_none() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
    error = refuse(Dialect(image_urls=False), messages=[user(image)])

    assert error.param == "messages.0.content.0.source"
    assert error.message == "messages.0.content.0.source: image URLs are not supported by model claude"


@pytest.mark.parametrize("kind", ["image", "document"])
def test_an_uploaded_file_is_refused(kind: str) -> None:
    error = refuse(messages=[user("a", {"type": kind, "source": FILE})])

    assert error.param == "messages.0.content.1.source"
    assert error.message == "messages.0.content.1.source: file sources are not available on this upstream"


def test_images_are_refused_by_a_model_that_sees_none() -> None:
    error = refuse(Dialect(images=False), messages=[user(IMAGE)])

    assert error.message == "messages.0.content.0: image blocks are not supported by model claude"


def test_what_is_to_be_done_to_an_image_is_named() -> None:
    wish = IMAGE | {"transformations": {"oversized_image": "error"}}

    assert translate(messages=[user(wish)]).dropped == ("image.transformations",)
    assert translate(messages=[user(IMAGE | {"transformations": {}})]).dropped == ()


def test_b31_a_pdf_is_refused_by_a_route_without_files() -> None:
    error = refuse(GLM, messages=[user(PDF)])

    assert error.message == "messages.0.content.0: document blocks are not supported by model claude"
    assert error.param == "messages.0.content.0"


@pytest.mark.parametrize("source", [IMAGE["source"], FILE])
def test_an_image_that_a_model_cannot_see_is_said_to_be_there(source: Any) -> None:
    """An agent sends it again with every turn: refused once, the session could not go on."""
    image = {"type": "image", "source": source}
    translated = translate(BLIND, messages=[user("see", image, image)])

    assert translated.messages[0]["content"] == f"see\n\n{UNSEEN_IMAGE}\n\n{UNSEEN_IMAGE}"
    assert translated.dropped == ("messages.image",)


def test_it_is_said_in_the_result_that_it_came_in() -> None:
    messages = [user("a"), assistant(call("A")), user(result("A", "1", IMAGE, is_error=True))]

    told = translate(BLIND, messages=messages).messages[2:]
    assert told == [{"role": "tool", "tool_call_id": "A", "content": f"{ERROR_MARK}1\n{UNSEEN_IMAGE}"}]


def test_a_pdf_is_a_file_where_files_are_taken() -> None:
    files = Dialect(files=True)

    assert parts(PDF, dialect=files) == [PDF_PART]
    assert parts(PDF | {"title": "a.pdf"}, dialect=files)[0]["file"]["filename"] == "a.pdf"


def test_a_document_url_is_refused() -> None:
    error = refuse(Dialect(files=True), messages=[user(document({"type": "url", "url": "https://example.org/a.pdf"}))])

    assert error.param == "messages.0.content.0.source"


def test_a_document_of_text_is_text() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "body"}

    assert parts(document(source)) == "body"
    assert parts(document(source, title="T", context="C")) == "T\nC\nbody"


def test_a_document_of_blocks_is_its_blocks() -> None:
    blocks = {"type": "content", "content": [{"type": "text", "text": "a"}, IMAGE]}

    assert parts(document(blocks)) == [{"type": "text", "text": "a"}, IMAGE_PART]
    assert parts(document(blocks, title="T"))[0] == {"type": "text", "text": "T"}
    assert parts(document({"type": "content", "content": "a"})) == "a"


def test_a_refusal_inside_a_document_names_its_place() -> None:
    blocks = {"type": "content", "content": [IMAGE]}
    error = refuse(Dialect(images=False), messages=[user(document(blocks))])

    assert error.param == "messages.0.content.0.source.content.0"


def test_a_search_result_is_text() -> None:
    found = {"type": "search_result", "source": "U", "title": "T", "content": [{"type": "text", "text": "a"}]}

    assert parts(found) == "T\nU\na"


def test_what_holds_no_text_is_no_part() -> None:
    found = {"type": "search_result", "source": "", "title": "", "content": []}

    assert parts("a", document({"type": "text", "data": ""}), found) == "a"


def test_citations_are_named_when_they_are_asked_for() -> None:
    source = {"type": "text", "data": "body"}
    found = {"type": "search_result", "source": "U", "title": "T", "content": [], "citations": {"enabled": True}}

    assert translate(messages=[user(document(source, citations={"enabled": True}))]).dropped == ("citations",)
    assert translate(messages=[user(document(source, citations={"enabled": False}))]).dropped == ()
    assert translate(messages=[user(document(source, citations="?"))]).dropped == ()
    assert translate(messages=[user(found)]).dropped == ("citations",)


def test_a_found_tool_is_said_to_be_available() -> None:
    found = {"type": "tool_reference", "tool_name": "g"}
    turns = translate(messages=[user("a"), assistant(call("A")), user(result("A", found, ""))]).messages

    assert turns[2]["content"] == "Tool g is now available."


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", ""),
        (b"null", ""),
        (b'"said"', "said"),
        (b'[{"type":"web_search_result","title":"T","url":"U","encrypted_content":"x"},{"url":"V"}]', "T: U\nV"),
        (b'{"type":"web_search_tool_result_error","error_code":"unavailable"}', ""),
        (b'{"type":"code_execution_result","stdout":"1\\n","stderr":"","return_code":0}', "1\n"),
        (b'{"title":1}', ""),
    ],
)
def test_what_a_server_tool_found(content: bytes, text: str) -> None:
    assert server_result_text(WebSearchResultBlock(content=msgspec.Raw(content))) == text


def test_a_cache_mark_on_an_image_is_named() -> None:
    assert translate(messages=[user(IMAGE | {"cache_control": {"type": "ephemeral"}})]).dropped == ("cache_control",)
