"""The command line from a checkout, the twin of `python -m vitsearch`.

python cli.py index ~/Pictures
python cli.py search holiday.jpg
"""

from vitsearch.cli import program

if __name__ == "__main__":
    program()
