"""The commands that read words or sound by themselves: on text, files or standard input, with or without a home's data.

Parses arguments and prints; what is done is in the modules that the assets call, imported inside the commands.
"""

import typer

language_app = typer.Typer(add_completion=False)
