from services.cli.exits import MEANINGS, Exit


def test_every_exit_code_is_explained() -> None:
    assert set(MEANINGS) == set(Exit)


def test_the_codes_are_the_ones_the_design_promises() -> None:
    assert {code.name: code.value for code in Exit} == {
        "OK": 0,
        "FAILED": 1,
        "USAGE": 2,
        "CONFIGURATION": 64,
        "UNAVAILABLE": 69,
        "KEYRING": 78,
        "INTERRUPTED": 130,
    }
