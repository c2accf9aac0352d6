"""`python -m services`, and what the installed `zcode-proxy` starts."""

import gc
import sys

_INTERRUPTED = 130  # as `exits.Exit` has it, which is not imported yet


def main() -> None:
    """Run the command line; Ctrl-C ends it without a trace, even while it is still being imported."""
    # Imports throw nothing away, and the collector's looks at them cost a tenth of a start; `process.run` wakes it.
    gc.disable()
    try:
        from services.cli.app import main as command  # noqa: PLC0415 - see above

        command()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
