"""`python -m chunkvol`."""

from chunkvol.cli import main

main()
