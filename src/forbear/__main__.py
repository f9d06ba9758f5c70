"""`python -m forbear` and the `forbear` command."""

from __future__ import annotations

from forbear.cli import app


def main() -> None:
    """Run the command line."""
    app(prog_name="forbear")


if __name__ == "__main__":
    main()
