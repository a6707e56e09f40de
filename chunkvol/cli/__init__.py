"""The command line: thin verbs that parse, call one public function, and print."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import traceback
from typing import Any

import click

from chunkvol._version import __version__
from chunkvol.cli.show import tell
from chunkvol.cli.verbs import Verbs
from chunkvol.errors import ChunkvolError, InputError, StoppedError

__all__ = ["cli", "main"]


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="chunkvol")
def cli() -> None:
    """Volumes larger than memory: downsample, ingest and convert scans without losing their place.

    Triples are in x, y, z order; lengths are millimetres unless a unit follows (12.3um).

    \b
    Exit codes: 0 ok, 1 unexpected, 2 usage or unreadable input, 3 geometry refused, 4 check failed,
    5 memory or disk, 8 some inputs failed, 75 stopped (can be run again).
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit; a user's mistake is one line, never a traceback."""
    _stop_on_signals()
    _replace_closed_streams()
    _print_any_name()
    code: str | int | None
    try:
        cli.main(args=arguments, prog_name="chunkvol", standalone_mode=False)
        code = 0
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        tell(error.format_message())
        code = error.exit_code
    except click.ClickException as error:
        _say(error.format_message())
        code = 2
    except ChunkvolError as error:
        _say(str(error))
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _say("stopped; nothing was left under the final name, and it can be run again")
        code = StoppedError.exit_code
    except MemoryError:
        _say("the system gave no more memory; give a smaller --memory")
        code = 5
    except SystemExit as error:
        # click leaves by itself after a completion, and when the reader of a pipe has gone away, which is no error.
        code = error.code if "_CHUNKVOL_COMPLETE" in os.environ else 0
    except Exception as error:
        if os.environ.get("CHUNKVOL_DEBUG"):
            raise
        code = _say_unexpected(error)
    for stream in (sys.stdout, sys.stderr):
        _let_go(stream)
    sys.exit(code)


def _say(text: str) -> None:
    tell(f"chunkvol: {' '.join(text.split())}")


def _replace_closed_streams() -> None:
    """A daemon may have closed them, and the next files to be opened must not get their numbers."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  # open until the process ends


def _let_go(stream: Any) -> None:
    """Print what is left; what cannot be printed must not become Python's own exit code, 120."""
    try:
        stream.flush()
    except OSError:
        with contextlib.suppress(OSError), open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())


def _print_any_name() -> None:
    """A file's name need not be text, and must not be what a finished run fails on."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def _say_unexpected(error: Exception) -> int:
    """What the system refuses is the user's to mend; all else is ours."""
    if isinstance(error, OSError) and error.strerror:
        *_, (last, _) = traceback.walk_tb(error.__traceback__)
        if last.f_globals.get("__name__") == "click.utils":  # standard output has no name that an error could have
            _say(f"the report cannot be printed ({error.strerror}); files that were to be written are whole")
        else:
            _say(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)
        return InputError.exit_code
    _say(f"unexpected {type(error).__name__}: {error}; CHUNKVOL_DEBUG=1 shows where")
    return ChunkvolError.exit_code


def _stop_on_signals() -> None:
    """Ctrl-C, SIGTERM and a closed terminal stop the work once; a second one must not cut the cleaning up short.

    What the parent had ignored stays ignored: nohup does so, and a shell for what a script runs in the background.
    """
    names = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    heard = [name for name in names if signal.getsignal(name) is not signal.SIG_IGN]

    def stop(number: int, frame: Any) -> None:
        for name in heard:
            signal.signal(name, signal.SIG_IGN)
        raise KeyboardInterrupt

    for name in heard:
        with contextlib.suppress(ValueError):  # only the main thread may
            signal.signal(name, stop)
