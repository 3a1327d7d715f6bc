"""The command line: reads arguments, calls the library, renders results and errors.

Only this package imports click. Each module registers its commands on the group when it is imported.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

from packager.cli import check, deps, files, install, make, verify, why
from packager.cli.common import packager
from packager.console import ConsoleReporter
from packager.errors import PackagerError, SpecError

__all__ = ["check", "deps", "files", "install", "main", "make", "verify", "why"]

INTERRUPTED = 130


def _on_sigterm(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line; the one place that turns errors into messages and exit codes."""
    # Nothing that is made may depend on the user's umask.
    os.umask(0o022)
    signal.signal(signal.SIGTERM, _on_sigterm)
    # A shell script's background jobs are started with SIGINT ignored; a build is to be stoppable there, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        # What a command returns is nothing; an exit code where it, or --help, ended early.
        code = packager.main(arguments, prog_name="packager", standalone_mode=False)
    except click.UsageError as exc:
        exc.show()
        sys.exit(SpecError.exit_code)
    except click.ClickException as exc:
        exc.show()
        sys.exit(SpecError.exit_code)
    except PackagerError as exc:
        _traceback(arguments)
        ConsoleReporter().error(str(exc))
        sys.exit(exc.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("\ninterrupted; what is finished stays in the store, the next run goes on from there", err=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as exc:
        _traceback(arguments)
        where = f"{exc.filename}: " if exc.filename else ""
        ConsoleReporter().error(f"{where}{exc.strerror or exc}")
        sys.exit(5)
    sys.exit(code or 0)


def _traceback(arguments: Sequence[str]) -> None:
    before_dashes = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if sum(a.count("v") for a in before_dashes if a.startswith("-v")) + before_dashes.count("--verbose") >= 2:
        traceback.print_exc()
