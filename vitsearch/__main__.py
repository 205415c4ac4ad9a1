"""`python -m vitsearch`."""

from vitsearch.cli import main

if __name__ == "__main__":
    main()
