"""The commit a run or an export comes from."""

import subprocess
from pathlib import Path


def commit() -> str:
    """The commit of the checkout the code runs from, with "+changes" where it has some; "" outside one."""
    folder = Path(__file__).parent
    try:
        head = run_git(folder, "rev-parse", "--short=12", "HEAD")
        return head + (
            "+changes" if run_git(folder, "status", "--porcelain", "--", ":/train", ":/engines") else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return ""


def run_git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()
