"""One file for each step, oldest first. Made by `python -m bastide.db.autogenerate`."""
