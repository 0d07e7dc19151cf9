"""The command `saf`, also python -m slurm_ai_factory. Tested in tests/cli/test_questions.py."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; Ctrl-C ends it quietly while it is still being loaded, too."""
    try:
        from slurm_ai_factory.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
