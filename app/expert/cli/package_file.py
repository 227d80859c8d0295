"""What the verbs about package files share: their rows of facts."""

from typing import TYPE_CHECKING, Any

from expert.cli import marketplace

if TYPE_CHECKING:
    from expert.package.container import Preview


def record(found: "Preview") -> dict[str, Any]:
    """Return what a package file says, for scripts."""
    import msgspec

    return {
        "label": found.manifest.label,
        "id": found.id,
        "bytes": found.total_size,
        "signer": None if found.signer is None else found.signer.fingerprint,
        "manifest": msgspec.to_builtins(found.manifest),
    }


def lines(found: "Preview") -> list[str]:
    """Return what a package file says, for people."""
    manifest = found.manifest
    signer = "nobody" if found.signer is None else found.signer.fingerprint
    files = [
        f"  {file.path:<32}{marketplace.megabytes(file.size):>12}  {file.encoding}"
        for file in manifest.files
    ]
    return [
        f"{manifest.label}: {manifest.summary}",
        f"{'id':<10}{found.id}",
        f"{'signer':<10}{signer}",
        f"{'size':<10}{marketplace.megabytes(found.total_size)}",
        f"{'licence':<10}{manifest.license}",
        f"{'bases':<10}{', '.join(base.name for base in manifest.bases)}",
        "files:",
        *files,
    ]
