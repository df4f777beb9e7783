"""Files of a run folder, written whole or not at all."""

from pathlib import Path


def write_whole(path: Path, content: bytes | str) -> None:
    """Puts the content in the file's place at once; where it can't, the file before is intact."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
