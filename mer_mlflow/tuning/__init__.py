"""Tuning: searches for hyperparameters as Optuna studies whose trials are tracked runs."""
