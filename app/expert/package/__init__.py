"""What an expert package is: its manifest, its `.expert` container, its signature, and trust.

Nothing here knows where packages are kept or come from. Import the module you need:
`manifest` (what a package says), `pack` and `container` (the file), `sign` (who made it), `trust`.
"""
