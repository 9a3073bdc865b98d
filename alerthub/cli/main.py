"""The `alerthub` command: each family of commands is a module that registers itself here."""

from __future__ import annotations

import importlib
import sys

import typer

from alerthub.domain.errors import AlertHubError

FAMILIES = (
    "up",
    "provision",
    "doctor",
    "apply",
    "bulk",
    "account_imports",
    "watchlist",
    "send",
    "onvif",
    "simulate",
    "capacity",
    "alerts",
    "precision",
    "terminal",
    "canary",
    "audit",
    "backup",
    "republish",
    "selftest",
)


def application() -> typer.Typer:
    """The whole command line."""
    app = typer.Typer(
        name="alerthub",
        help="The event-driven alert hub of a city's public-safety operations.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for family in FAMILIES:
        importlib.import_module(f"alerthub.cli.{family}").register(app)
    return app


def run() -> None:
    """The entry point: what no command caught becomes one sentence and an exit code."""
    try:
        application()()
    except AlertHubError as error:
        sys.stderr.write(f"alerthub: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    run()
