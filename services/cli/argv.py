"""
Keeps secrets off the command line, where `ps`, the shell's history and process accounting would keep them. Pure.
"""

import re
from collections.abc import Sequence
from typing import Final

_SECRET_OPTION: Final = re.compile(
    r"--?(?:[a-z]+-)*(?:api-?key|key|token|secret|password|passwd|credentials?|jwt|bearer)(?:=.*)?",
    re.IGNORECASE | re.DOTALL,
)


def secret_option(argv: Sequence[str]) -> str | None:
    """Return the name of the first option that looks as if it carried a secret, without its value."""
    for argument in argv:
        if argument == "--":
            return None
        if _SECRET_OPTION.fullmatch(argument):
            return argument.partition("=")[0]
    return None


def refusal(option: str) -> str:
    """Say what to do instead."""
    return (
        f"{option}: keys are not taken on the command line, because other users and the shell's history see it. "
        "Set ZCODE_API_KEY (the plan's key) or ZCODE_PROXY_API_KEY (the clients'), or name a file that holds it with "
        "ZCODE_API_KEY_FILE or auth.apiKeyFile. If that was a real key, it is in your history now: replace it."
    )
