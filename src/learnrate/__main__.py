"""`python -m learnrate`."""

from learnrate.cli import main

main()
