"""``python -m headrace``: the command line, and how `headrace run` starts its parts."""

from headrace.cli import main

main(prog_name="headrace")
