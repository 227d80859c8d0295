"""`expert version`."""

from expert._version import __version__


def run(arguments: list[str]) -> int:
    """Print the version."""
    if arguments:
        print("usage: expert version\n\nShow the version.")
        return 0 if arguments[0] in ("-h", "--help") else 2
    print(f"expert {__version__}")
    return 0
