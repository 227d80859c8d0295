"""The `expert` command: finds the verb, runs it, and turns errors into messages and exit codes.

Nothing heavy is imported here; a verb's module is imported only when that verb runs.
"""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from expert.errors import ExpertError

VERBS = {
    "ask": "Ask a question and stream the answer.",
    "chat": "Have a conversation, on a screen or line by line (also: expert alone).",
    "sh": "Suggest a shell command, and run it if you say so.",
    "log": "List, search, show and export past conversations.",
    "route": "Show which experts would answer a prompt, and why.",
    "router": "Measure the router, and fit its parameters.",
    "grammar": "List, show, check and try what answers can be held to.",
    "search": "Search the experts that your sources offer.",
    "show": "Show all there is to know about an expert.",
    "install": "Install experts by name or from package files.",
    "uninstall": "Remove experts.",
    "list": "List installed experts.",
    "update": "Update installed experts.",
    "rollback": "Return to what was installed before.",
    "pin": "Keep updates of an expert off, or within a range.",
    "verify": "Check that installed experts are what was signed.",
    "gc": "Free the space of experts that are not active any more.",
    "source": "List, add and refresh the places experts come from.",
    "trust": "Decide whose keys count.",
    "bundle": "Carry experts to machines with no network.",
    "model": "Fetch, list, show and choose base models.",
    "convert": "Convert checkpoints and adapters to GGUF.",
    "fuse": "Make one adapter of several.",
    "compress": "Make an expert smaller.",
    "conflicts": "Measure how much two experts interfere.",
    "new": "Start a new expert.",
    "pack": "Make a package of an expert.",
    "keygen": "Make a key to sign packages with.",
    "sign": "Sign a package.",
    "inspect": "Show what is in a package file.",
    "validate": "Check a package file or the source folder of one.",
    "diff": "Show what changed between two packages.",
    "extract": "Unpack a package.",
    "import": "Make an expert of an adapter on the Hugging Face Hub.",
    "migrate": "Bring packages of the first .expert format over, or back.",
    "publish": "Put a package where others find it.",
    "train": "Train an expert from a recipe and data.",
    "dataset": "Prepare, check, measure and make data for training.",
    "eval": "Measure an expert beside its base on held-out data.",
    "bench": "Measure the speed and memory of a model file.",
    "config": "Show and change settings.",
    "completions": "Print the completions of a shell.",
    "man": "Show the manual.",
    "doctor": "Check this installation and what it can do.",
    "paths": "Show where files are kept.",
    "version": "Show the version.",
}
MODULES = {"import": "import_hub"}
"""Verbs whose module is called otherwise, because Python keeps the word to itself."""
_ALIASES = {"--version": "version", "-V": "version"}
_HELP = ("-h", "--help", "help")


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    verb = _ALIASES.get(verb, verb)
    _open_standard_streams()
    if not verb and at_terminal():
        verb = "chat"
    if verb not in VERBS and verb not in _HELP:
        return _unknown(verb)
    if "--debug" in rest:
        _show_log()
    try:
        return _run(verb, rest)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _discard_output()
        return 141
    except RuntimeError as error:  # Python's own around what a class met while it was made
        if isinstance(error.__cause__, KeyboardInterrupt):
            return 130
        raise


def at_terminal() -> bool:
    """Tell whether a person sits before all three standard streams; one may have been closed."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return all(one is not None and one.isatty() for one in streams)


def _run(verb: str, arguments: list[str]) -> int:
    from importlib import import_module

    from expert.errors import ExpertError, ResourceError

    try:
        if sys.stdout is None:  # closed by whoever started this program
            raise ResourceError("Standard output is closed.", "", "Start it with one.")
        if verb in _HELP:
            print(usage(), end="", flush=True)
            return 0
        code = import_module(f"expert.cli.{MODULES.get(verb, verb)}").run(arguments)
        sys.stdout.flush()
        return int(code)
    except ExpertError as error:
        return _report(error, arguments)
    except BrokenPipeError:
        raise
    except OSError as error:  # a disk or device gave up under a plain read or write
        _discard_output()
        what = f"Reading or writing failed: {error.strerror or error}."
        fix = "Check free space, permissions and the device."
        problem = ResourceError(what, str(error.filename or ""), fix)
        problem.__cause__ = error
        return _report(problem, arguments)


def _report(error: "ExpertError", arguments: list[str]) -> int:
    from expert.cli import messages

    if "--debug" in arguments:
        import traceback

        messages.say("".join(traceback.format_exception(error)))
    if "--json" in arguments or "--stream-json" in arguments:
        import json

        messages.say(json.dumps(error.as_dict()) + "\n")
    else:
        messages.tell(str(error))
    return error.code


def _open_standard_streams() -> None:
    """Keep files opened later from taking the place of a standard stream that was closed."""
    import os

    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stderr is None:  # `print` would take stdout instead
        sys.stderr = os.fdopen(2, "w", closefd=False)


def _show_log() -> None:
    import logging

    logging.basicConfig(level=logging.DEBUG, format="%(name)s: %(message)s")


def _discard_output() -> None:
    """Keep the interpreter from flushing, at its end, into an output that is gone."""
    import os

    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _unknown(verb: str) -> int:
    if not verb:
        print(usage(), end="", file=sys.stderr)
        return 2
    import difflib

    close = difflib.get_close_matches(verb, VERBS, n=1)
    hint = f" Did you mean `expert {close[0]}`?" if close else ""
    print(f"expert: there is no command {verb!r}.{hint}", file=sys.stderr)
    print("Fix: see `expert --help`.", file=sys.stderr)
    return 2


def usage() -> str:
    """Return the text of `expert --help`."""
    rows = "".join(f"  {verb:<13}{text}\n" for verb, text in VERBS.items())
    return (
        "usage: expert COMMAND …\n\n"
        "An offline assistant: one small resident base model, many experts.\n\n"
        f"commands:\n{rows}\n"
        "`expert COMMAND --help` says more about one of them.\n"
    )
