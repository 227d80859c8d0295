"""The `expert` command: finds the verb, runs it, and turns errors into messages and exit codes.

Nothing heavy is imported here; a verb's module is imported only when that verb runs.
"""

import sys

VERBS = {
    "ask": "Ask a question and stream the answer.",
    "model": "List, show and choose base models.",
    "convert": "Convert checkpoints and adapters to GGUF.",
    "bench": "Measure the speed and memory of a model file.",
    "doctor": "Check this installation and what it can do.",
    "paths": "Show where files are kept.",
    "version": "Show the version.",
}
_ALIASES = {"--version": "version", "-V": "version"}


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if verb in ("-h", "--help", "help"):
        print(usage(), end="")
        return 0
    verb = _ALIASES.get(verb, verb)
    if verb not in VERBS:
        return _unknown(verb)
    try:
        return _run(verb, rest)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return _closed_pipe()


def _run(verb: str, arguments: list[str]) -> int:
    from importlib import import_module

    from expert.errors import ExpertError

    try:
        code = import_module(f"expert.cli.{verb}").run(arguments)
        sys.stdout.flush()
        return int(code)
    except ExpertError as error:
        if "--debug" in arguments:
            raise
        return _report(error, as_json="--json" in arguments)


def _report(error: Exception, *, as_json: bool) -> int:
    from expert.errors import ExpertError

    assert isinstance(error, ExpertError)
    if as_json:
        import json

        print(json.dumps(error.as_dict(), ensure_ascii=False), file=sys.stderr)
    else:
        print(f"expert: {error}", file=sys.stderr)
    return error.code


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


def _closed_pipe() -> int:
    """End in silence when the reader has gone; the interpreter must not flush into it again."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141


def usage() -> str:
    """Return the text of `expert --help`."""
    rows = "".join(f"  {verb:<9}{text}\n" for verb, text in VERBS.items())
    return (
        "usage: expert COMMAND …\n\n"
        "An offline assistant: one small resident base model, many experts.\n\n"
        f"commands:\n{rows}\n"
        "`expert COMMAND --help` says more about one of them.\n"
    )
