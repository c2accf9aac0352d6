"""Names of records and keys."""

import pytest

from services.credentials.stores.names import KeyNames, RecordKeys, check


@pytest.mark.parametrize("id_", ["a", "crd_abc234", "A-Z_0.9:x", "x" * 128])
def test_an_id_of_the_alphabet_is_fine(id_: str) -> None:
    check("cred", id_)


@pytest.mark.parametrize("id_", ["", " ", "a b", "{a}", "a}", "*", "a?", "[a]", "a\n", "\x00", "é", "a/b", "x" * 129])
def test_another_id_is_refused_without_saying_it(id_: str) -> None:
    with pytest.raises(ValueError, match="not made of the characters") as refused:
        check("cred", id_)
    assert len(id_) < 3 or id_ not in str(refused.value)


@pytest.mark.parametrize("kind", ["", "Cred", "cred1", "a:b", "{g}", "x" * 17, "cred\n"])
def test_another_kind_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="not made of the characters"):
        check(kind, "a")


def test_the_keys_of_a_credential_share_its_hash_tag() -> None:
    assert KeyNames().record("cred", "crd_a") == RecordKeys(
        "zr:{a:crd_a}:cred", "zr:{a:crd_a}:lease", "zr:{a:crd_a}:fence", "zr:{a:crd_a}:mark"
    )


def test_the_keys_of_other_records_share_a_slot_by_the_whole_name() -> None:
    assert KeyNames().record("meta", "check") == RecordKeys(
        "zr:meta:check", "zr:lease:{zr:meta:check}", "zr:fence:{zr:meta:check}", "zr:lease:{zr:meta:check}:mark"
    )


def test_an_intent_lies_beside_its_credential() -> None:
    assert KeyNames().once("intent", "crd_a.0123456789abcdef") == "zr:{a:crd_a}:intent:0123456789abcdef"


@pytest.mark.parametrize(
    ("kind", "name"), [("key", "zr:ck:x"), ("login", "zr:o:x"), ("nonce", "zr:n:x"), ("usage", "zr:usage:x")]
)
def test_kinds_have_their_short_names(kind: str, name: str) -> None:
    assert KeyNames().once(kind, "x") == name
    assert KeyNames().record(kind, "x").record == name


def test_another_prefix_changes_every_name() -> None:
    names = KeyNames("other-1:")
    keys = names.record("cred", "a")

    assert {names.generation, names.pending, names.ids("cred"), names.channel} == {
        "other-1:{g}:gen",
        "other-1:{g}:pending",
        "other-1:{g}:ids:cred",
        "other-1:ev",
    }
    assert all(key.startswith("other-1:") for key in (keys.record, keys.lease, keys.fence, names.once("login", "s")))


@pytest.mark.parametrize("prefix", ["", "zr", "z{r}:", "a b:", ":", "a:b:", "zr:\n", "x" * 33 + ":"])
def test_a_prefix_that_could_break_a_name_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        KeyNames(prefix)
