"""`python -m vitsearch`."""

from vitsearch.cli import program

if __name__ == "__main__":
    program()
