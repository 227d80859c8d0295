"""`expert version`."""

from expert._version import __version__


def run(arguments: list[str]) -> int:
    """Print the version."""
    if arguments:  # only then is a parser worth its import
        from expert.cli import options

        options.parser("version", "Show the version.").parse_args(arguments)
    print(f"expert {__version__}")
    return 0
