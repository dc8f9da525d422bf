"""The package behind main.py: data, network, scoring, runs, commands and the drawn sample."""
