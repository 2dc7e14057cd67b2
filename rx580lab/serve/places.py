"""Where keys and pepper lie if nobody says otherwise. They lie in two folders, so that one stolen copy holds not both.

Loads neither Flask nor the schema of the settings: the commands for keys ask it too.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

__all__ = ["default_keys_file", "default_pepper_file"]


def default_keys_file() -> Path:
    """What ``RX580LAB_SERVE_KEYS`` names, else ``keys.jsonl`` in the user's folder of configuration."""
    named = os.environ.get("RX580LAB_SERVE_KEYS")
    return Path(named) if named else platformdirs.user_config_path("rx580lab") / "keys.jsonl"


def default_pepper_file() -> Path:
    """What ``RX580LAB_SERVE_PEPPER_FILE`` names, else ``pepper`` in the user's folder of state."""
    named = os.environ.get("RX580LAB_SERVE_PEPPER_FILE")
    return Path(named) if named else platformdirs.user_state_path("rx580lab") / "pepper"
