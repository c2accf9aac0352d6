"""From an access token to the plan's key."""

import msgspec
import pytest

from services.chassis.secret import Secret
from services.credentials.oauth.answers import CallFailed, Kind
from services.credentials.oauth.resolution import resolve
from services.credentials.oauth.steps import NoAnswer, Reply
from tests.support.oauth_flow import ADDRESSES, BIGMODEL, ZAI, Driven, answer, biz, drive

OPENED = biz({"access_token": "business"})
CUSTOMER = biz(
    {
        "organizations": [
            {"organizationId": "o1", "organizationName": "other", "projects": [{"projectId": "p0"}]},
            {
                "organizationId": "o 2",
                "organizationName": "\u6211\u7684\u9ed8\u8ba4\u673a\u6784",
                "projects": [
                    {"projectId": "p1", "projectName": "other"},
                    {"projectId": 22, "projectName": "\u9ed8\u8ba4\u9879\u76ee"},
                ],
            },
        ]
    }
)
KEYS = "https://biz.test/api/biz/v1/organization/o%202/projects/22/api_keys"
LISTED = biz([{"name": "other", "apiKey": "no"}, {"name": "zcode-api-key", "apiKey": "key/1"}])
COPIED = biz({"secretKey": "secret"})


def zai(*replies: Reply) -> Driven:
    return drive(resolve(ZAI, ADDRESSES, "at"), [OPENED, *replies])


def test_zai_opens_the_account_finds_the_key_and_joins_its_halves() -> None:
    driven = zai(CUSTOMER, LISTED, COPIED)

    assert driven.result == "key/1.secret"
    assert [(ask.method, ask.url) for ask in driven.asks] == [
        ("POST", "https://biz.test/login"),
        ("GET", "https://biz.test/api/biz/customer/getCustomerInfo"),
        ("GET", KEYS),
        ("GET", f"{KEYS}/copy/key%2F1"),
    ]
    assert driven.asks[0].fields == {"token": "at"}
    assert {ask.authorization for ask in driven.asks[1:]} == {Secret("Bearer business")}


def test_bigmodel_says_its_access_token_without_bearer() -> None:
    driven = drive(resolve(BIGMODEL, ADDRESSES, "at"), [CUSTOMER, LISTED, COPIED])

    assert driven.result == "key/1.secret"
    assert {ask.authorization for ask in driven.asks} == {Secret("at")}


@pytest.mark.parametrize("opened", [{"access_token": "business"}, {"accessToken": "business"}])
def test_the_business_token_is_found_in_all_its_places(opened: dict[str, str]) -> None:
    for reply in (biz(opened), answer({"code": 200, **opened}), answer(opened)):
        driven = drive(resolve(ZAI, ADDRESSES, "at"), [reply, CUSTOMER, LISTED, COPIED])
        assert driven.asks[1].authorization == Secret("Bearer business")


@pytest.mark.parametrize(
    "listing",
    [
        biz([]),
        biz(None),
        answer([]),
        answer({}, 500),
        answer({}, 401),
        NoAnswer(sent=True, why="x"),
        biz([{"name": "zcode-api-key", "apiKey": ""}]),
        biz([None, 5]),
    ],
)
def test_without_a_usable_listing_a_key_is_made(listing: Reply) -> None:
    driven = zai(CUSTOMER, listing, biz({"apiKey": "new"}), COPIED)

    assert driven.result == "new.secret"
    made = driven.asks[3]
    assert (made.method, made.url, made.fields) == ("POST", KEYS, {"name": "zcode-api-key"})


@pytest.mark.parametrize("wrapper", ["list", "apiKeys", "rows"])
def test_a_listing_may_be_wrapped_once_more(wrapper: str) -> None:
    assert zai(CUSTOMER, biz({wrapper: [{"name": "zcode-api-key", "apiKey": "k"}]}), COPIED).result == "k.secret"


def test_the_first_organisation_and_project_do_where_none_is_called_default() -> None:
    customer = biz({"orgs": [{"id": "o", "name": "x", "projects": [{"id": "p", "name": "y"}, {"id": "q"}]}]})

    driven = zai(customer, LISTED, biz({"secret_key": "s"}))

    assert driven.asks[2].url.endswith("/organization/o/projects/p/api_keys")
    assert driven.result == "key/1.s"


@pytest.mark.parametrize(
    "customer",
    [
        biz({}),
        biz([]),
        biz({"organizations": []}),
        biz({"organizations": [{}]}),
        biz({"organizations": ["x"]}),
        biz({"organizations": [{"organizationId": ".."}]}),
        biz({"organizations": [{"organizationId": "o"}]}),
        biz({"organizations": [{"organizationId": "o", "projects": [{"projectId": "."}]}]}),
    ],
)
def test_an_account_without_organisation_or_project_is_no_use(customer: Reply) -> None:
    with pytest.raises(CallFailed) as caught:
        zai(customer)

    assert caught.value.kind is Kind.UNREADABLE


def test_zai_needs_the_secret_half_and_bigmodel_does_without() -> None:
    for reply in (biz({}), answer({}, 500)):
        with pytest.raises(CallFailed, match="reading the key"):
            zai(CUSTOMER, LISTED, reply)
        assert drive(resolve(BIGMODEL, ADDRESSES, "at"), [CUSTOMER, LISTED, reply]).result == "key/1"


def test_a_new_key_must_come_back() -> None:
    with pytest.raises(CallFailed, match="no usable apiKey"):
        zai(CUSTOMER, biz([]), biz({"name": "zcode-api-key"}))


def test_an_account_that_does_not_open_is_an_end() -> None:
    with pytest.raises(CallFailed, match="no usable business token"):
        drive(resolve(ZAI, ADDRESSES, "at"), [biz({})])
    with pytest.raises(CallFailed, match="loginUrl"):
        drive(resolve(ZAI, msgspec.structs.replace(ADDRESSES, login_url=None), "at"), [])
