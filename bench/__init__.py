"""Measures the gateway against other proxies on one machine, in one session: `python -m bench`; see README.md."""
