"""Measured figures for a card, from what `derain evaluate --json` and `derain bench --json` wrote."""

import json
from pathlib import Path
from typing import Any

from derain.engines.errors import UsageError


def read_json(path: Path) -> Any:
    """The content of a JSON file; UsageError where it is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} has no figures to read: {error}") from error


def quality(path: Path) -> dict[str, str]:
    """By set, PSNR on Y of the restored pictures with the gain over the rainy ones, in dB."""
    try:
        return {f"{Path(row['set']).name} {row['match']}".strip(): gain(row) for row in read_json(path)}
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path} is not what derain evaluate --json writes: no {error}") from error


def gain(row: dict[str, Any]) -> str:
    """One set in words; a set whose rainy pictures are clean has no gain to tell."""
    restored, rainy = row["restored"]["psnr_y"], row["rainy"]["psnr_y"]
    if restored is None:
        return "equal to the clean pictures"
    return f"{restored:.2f} dB" + ("" if rainy is None else f" ({restored - rainy:+.2f})")


def speed(path: Path) -> dict[str, str]:
    """By frame size, milliseconds in the network, frames a second from file to file, and on what."""
    try:
        content = read_json(path)
        where = f"{content['machine']['cpu']}, {content['machine']['threads']} threads"
        return {f"{m['width']}x{m['height']}": pace(m) + f" on {where}" for m in content["measurements"]}
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path} is not what derain bench --json writes: no {error}") from error


def dry_below(path: Path) -> float:
    """Below what score the network calls a picture dry."""
    try:
        return float(read_json(path)["dry_below"])
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} is not what derain bench dryness --json writes: no {error}") from error


def pace(measurement: dict[str, Any]) -> str:
    stages = {stage["name"]: stage for stage in measurement["stages"]}
    pace = f"{stages['restore']['p50_ms']:.1f} ms a frame, {stages['together']['fps']:.1f} fps file to file"
    return f"{pace}, {measurement['backend']} {measurement['precision']}"
