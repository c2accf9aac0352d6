"""`python -m services`, and what the installed `zcode-proxy` starts."""

from services.cli.app import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
