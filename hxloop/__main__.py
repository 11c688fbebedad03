"""``python -m hxloop``: the command line, where the ``hxloop`` script is not on the path."""

from hxloop.cli.entry import main

if __name__ == "__main__":
    main()
