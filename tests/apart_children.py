"""Processes apart that are ours, among those of brokers and others."""

import psutil


def children_apart() -> list[psutil.Process]:
    """Those that live."""
    found = []
    for child in psutil.Process().children():
        try:
            if any("launcher.py" in part for part in child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return found
