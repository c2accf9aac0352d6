"""The simulator's settings: the defaults below are the documentation of the defaults."""

import msgspec

from services.chassis.secret import Secret


class SimulatorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the simulator listens and how it behaves when no script says otherwise."""

    host: str = "127.0.0.1"
    port: int = 8090  # 0: any free port
    keys: tuple[Secret, ...] = ()  # accepted credentials; empty: any non-empty one
    pace_ms: float = 30.0  # between two words of an unscripted answer
    scripts_file: str | None = None  # see README.md, "The scripts file"
    record: int = 256  # how many requests are remembered
    record_bytes: int = 64 * 1024 * 1024  # and how many bytes of their bodies in all


# Environment variable -> field above.
ENV = {
    "ZCODE_SIMULATOR_HOST": "host",
    "ZCODE_SIMULATOR_PORT": "port",
    "ZCODE_SIMULATOR_KEYS": "keys",
    "ZCODE_SIMULATOR_PACE_MS": "pace_ms",
    "ZCODE_SIMULATOR_SCRIPTS": "scripts_file",
}
