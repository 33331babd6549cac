"""Version of the package, alone in its module so that building it imports nothing else."""

__version__ = "0.1.0"
