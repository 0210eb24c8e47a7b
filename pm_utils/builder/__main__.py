"""``python -m pm_utils.builder book``: the command ``pm``, where there is no make and no script."""

import sys

from pm_utils.builder.signals import ignore_signals, leave_on_signals


def main() -> int:
    """Run the command line; the doctor alone runs where packages are missing."""
    leave_on_signals()
    if sys.argv[1:2] == ["doctor"]:
        from pm_utils.builder import doctor

        return doctor.main(sys.argv[2:])
    from pm_utils.builder import cli

    status = cli.main()
    ignore_signals()  # Python takes a moment to end
    return status


if __name__ == "__main__":
    sys.exit(main())
