"""Images and files of an OpenAI client as Anthropic blocks."""

import base64
from typing import Any

import msgspec
import pytest

from services.gateway.dialect import Dialect
from services.gateway.translation.requests.marks import UNSEEN_IMAGE
from tests.support.openai_requests import CLAUDE, GLM, refuse, text, translate, user

PNG = "iVBORw0KGgo="
PDF = base64.b64encode(b"%PDF-1.7").decode()
BLIND = msgspec.structs.replace(GLM, images=False)
OFFLINE = msgspec.structs.replace(GLM, image_urls=False)


def image(url: str, dialect: Dialect = CLAUDE) -> Any:
    part = {"type": "image_url", "image_url": {"url": url}}
    return translate(dialect, messages=[user([part])]).messages[0]["content"][0]


def refused(url: str, dialect: Dialect = CLAUDE) -> str:
    refusal = refuse(dialect, messages=[user([{"type": "image_url", "image_url": {"url": url}}])])
    assert refusal.param == "messages.0.content.0.image_url.url"
    assert refusal.message.startswith(refusal.param)
    return refusal.message


def file(dialect: Dialect = CLAUDE, **fields: Any) -> Any:
    return translate(dialect, messages=[user([{"type": "file", "file": fields}])]).messages[0]["content"][0]


def refused_file(dialect: Dialect = CLAUDE, **fields: Any) -> str | None:
    return refuse(dialect, messages=[user([{"type": "file", "file": fields}])]).param


def base64_image(media_type: str, data: str = PNG) -> Any:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


@pytest.mark.parametrize(
    "url",
    [
        f"data:image/png;base64,{PNG}",
        f"data:image/png;charset=utf-8;base64,{PNG}",
        f"data:image/png;name=a.png;charset=utf-8; BASE64,{PNG}",
        f"DATA:IMAGE/PNG;base64,{PNG}",
        "data:image/png;base64,iVBORw0KGgo%3D",
        "data:image/png;base64,iVBO\nRw0KGgo=",
        "data:image/png,%89PNG%0D%0A%1A%0A",
    ],
)
def test_b110_a_data_address_is_taken_apart_whatever_its_parameters(url: str) -> None:
    assert image(url) == base64_image("image/png")


def test_b112_image_jpg_is_image_jpeg() -> None:
    assert image(f"data:image/jpg;base64,{PNG}") == base64_image("image/jpeg")


def test_b113_a_pdf_in_an_image_is_a_document() -> None:
    assert image(f"data:application/pdf;base64,{PDF}") == {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
    }


def test_b113_a_pdf_is_refused_where_the_upstream_reads_none() -> None:
    assert "document blocks are not supported" in refused(f"data:application/pdf;base64,{PDF}", GLM)


@pytest.mark.parametrize("url", ["https://host/a.png", "HTTP://host/a.png"])
def test_an_address_on_the_web_is_passed_on_unread(url: str) -> None:
    assert image(url) == {"type": "image", "source": {"type": "url", "url": url}}


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/a", "//host/a", "", "gs://bucket/a"])
def test_other_schemes_are_refused(url: str) -> None:
    assert "only data:, http: and https:" in refused(url)


@pytest.mark.parametrize("kind", ["image/tiff", "text/plain", "audio/wav", ""])
def test_types_that_are_no_image_are_refused(kind: str) -> None:
    assert "is not one of jpeg, png, gif, webp" in refused(f"data:{kind};base64,{PNG}")


@pytest.mark.parametrize("url", ["data:image/png;base64,", "data:image/png;base64", "data:,", "data:"])
def test_a_data_address_without_data_is_refused(url: str) -> None:
    assert "no data" in refused(url)


def test_images_are_refused_where_the_upstream_sees_none() -> None:
    assert "images are not supported" in refused(f"data:image/png;base64,{PNG}", BLIND)
    assert "images are not supported" in refused("https://host/a.png", BLIND)


@pytest.mark.parametrize("url", [f"data:image/png;base64,{PNG}", "https://host/a.png"])
def test_or_said_to_be_there(url: str) -> None:
    told = msgspec.structs.replace(BLIND, images_in_words=True, image_urls=False)
    part = {"type": "image_url", "image_url": {"url": url}}
    out = translate(told, messages=[user([text("see"), part])])

    assert [block["text"] for block in out.messages[0]["content"]] == ["see", UNSEEN_IMAGE]
    assert out.dropped == ("messages.image_url",)


def test_addresses_are_refused_where_the_upstream_fetches_none() -> None:
    assert "send data" in refused("https://host/a.png", OFFLINE)


def test_a_pdf_file_is_a_titled_document() -> None:
    document = {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
    }

    assert file(file_data=f"data:application/pdf;base64,{PDF}", filename="a.pdf") == document | {"title": "a.pdf"}
    assert file(file_data=PDF) == document


def test_a_text_file_is_a_text_document() -> None:
    assert file(file_data="data:text/csv;base64,YSxi", filename="a.csv") == {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "a,b"},
        "title": "a.csv",
    }


def test_a_text_file_is_plain_text_where_the_upstream_takes_no_documents() -> None:
    assert file(GLM, file_data="data:text/csv;base64,YSxi", filename="a.csv") == text("a.csv\n\na,b")
    assert file(GLM, file_data="data:,a%2Cb") == text("a,b")


def test_an_image_file_is_an_image() -> None:
    assert file(file_data=f"data:image/webp;base64,{PNG}") == base64_image("image/webp")


@pytest.mark.parametrize("data", ["data:text/plain;base64,/w==", "data:text/plain;base64,!!!"])
def test_text_that_cannot_be_read_is_refused(data: str) -> None:
    assert refused_file(file_data=data) == "messages.0.content.0.file.file_data"


def test_files_by_id_are_refused() -> None:
    assert refused_file(file_id="file-1") == "messages.0.content.0.file.file_id"


def test_files_without_data_or_type_are_refused() -> None:
    assert refused_file(filename="a.pdf") == "messages.0.content.0.file.file_data"
    assert refused_file(file_data="AAAA") == "messages.0.content.0.file.file_data"
