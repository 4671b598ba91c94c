"""`python -m rdjax` is `rdjax`."""

from rdjax.cli import main

if __name__ == "__main__":
    main()
