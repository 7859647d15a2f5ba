"""`python -m neuneu` is `neuneu`."""

from neuneu.cli.main import main

main()
