"""The tests: what the project promises as a whole stands here, every wing's own tests in the folder of its name."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
