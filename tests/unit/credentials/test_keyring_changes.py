"""What `zcode-proxy keyring` gives out, and when it refuses."""

import pytest

from services.credentials.errors import Conflict, KeyringInvalid
from services.credentials.keyring import Keyring
from services.credentials.keyring_changes import KeyringChanges
from services.credentials.replicas import Reporter
from services.credentials.rotation_plan import Step
from services.credentials.stores.memory import MemoryStore
from services.credentials.vault import Vault
from tests.support.vaults import ADDED, FIRST, PROMOTED, RETIRED, credential, filled, overwrite


class Keeper:
    """A store with five credentials and a pepper, one replica, and a keyring as it is kept."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.audited: list[tuple[str, int]] = []

    async def begin(self, replica: Keyring, *, under: Keyring = FIRST) -> "Keeper":
        await filled(self.store, 5, under)
        await Reporter(self.store, Vault(self.store, replica), "a").report()
        return self

    async def audit(self, event: str, kid: int) -> None:
        self.audited.append((event, kid))

    def with_keyring(self, keyring: Keyring, *, at_least: int = 0) -> KeyringChanges:
        return KeyringChanges(self.store, Vault(self.store, keyring), at_least=at_least, audit=self.audit)


async def test_a_key_is_added_and_opens_only() -> None:
    keeper = await Keeper().begin(FIRST)

    after = await keeper.with_keyring(FIRST).added()

    assert [key.state.value for key in after] == ["primary", "decrypt"]
    assert next(iter(after)) == next(iter(FIRST))
    assert keeper.audited == [("master.add", 2)]


@pytest.mark.parametrize(("keyring", "says"), [(ADDED, "promote it"), (PROMOTED, "7 of 7 records")])
async def test_no_key_is_added_while_a_rotation_is_under_way(keyring: Keyring, says: str) -> None:
    keeper = await Keeper().begin(keyring)

    with pytest.raises(Conflict, match=f"not yet: .*{says}"):
        await keeper.with_keyring(keyring).added()

    assert keeper.audited == []


async def test_a_key_is_promoted_when_every_replica_has_it() -> None:
    keeper = await Keeper().begin(ADDED)

    assert await keeper.with_keyring(ADDED).promoted() == PROMOTED
    assert keeper.audited == [("master.promote", 2)]


async def test_a_key_is_not_promoted_before_every_replica_has_it() -> None:
    lacking, silent = await Keeper().begin(FIRST), await Keeper().begin(ADDED)

    with pytest.raises(Conflict, match=r"not yet: master key 2 has not come everywhere.*not to a"):
        await lacking.with_keyring(ADDED).promoted()
    with pytest.raises(Conflict, match=r"not to \?"):
        await silent.with_keyring(ADDED, at_least=2).promoted()


async def test_a_key_is_retired_when_nothing_is_under_it() -> None:
    keeper = await Keeper().begin(PROMOTED, under=FIRST)
    vault = Vault(keeper.store, PROMOTED)
    standing = await keeper.with_keyring(PROMOTED).standing()
    assert (standing.step, standing.facts.counts) == (Step.REENCRYPT, {1: 7})
    with pytest.raises(Conflict, match="7 of 7 records are not under master key 2 yet: `zcode-proxy rotate master`"):
        await keeper.with_keyring(PROMOTED).retired()
    for number in range(5):
        await vault.reseal("cred", credential(number).id)
    await vault.reseal("meta", "pepper")
    with pytest.raises(Conflict, match="1 of 7 records"):
        await keeper.with_keyring(PROMOTED).retired()
    await vault.reseal("meta", "check")

    assert await keeper.with_keyring(PROMOTED).retired() == RETIRED
    assert keeper.audited == [("master.retire", 2)]


async def test_a_key_is_not_retired_while_a_replica_seals_with_it() -> None:
    keeper = await Keeper().begin(ADDED)

    with pytest.raises(Conflict, match="not every running process seals with master key 2 yet: a does not"):
        await keeper.with_keyring(PROMOTED).retired()


async def test_a_retired_key_is_deleted_when_nothing_may_be_under_it() -> None:
    keeper = await Keeper().begin(RETIRED)
    with pytest.raises(Conflict, match="7 records may still be under master key 1"):
        await keeper.with_keyring(RETIRED).without(1)
    vault = Vault(keeper.store, RETIRED)
    for kind, id_ in [*(("cred", credential(n).id) for n in range(5)), ("meta", "pepper"), ("meta", "check")]:
        await vault.reseal(kind, id_)

    assert await keeper.with_keyring(RETIRED).without(1) == RETIRED.without(1)
    await overwrite(keeper.store, "cred", credential(0).id, b"rubbish")
    with pytest.raises(Conflict, match="1 records may still be"):
        await keeper.with_keyring(RETIRED).without(1)
    with pytest.raises(KeyringInvalid, match="not retired"):
        await keeper.with_keyring(RETIRED).without(2)
    assert keeper.audited == [("master.delete", 1)]
