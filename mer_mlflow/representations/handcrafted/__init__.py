"""Handcrafted features: a clip as some 1500 numbers with readable names, a module a dimension."""

from mer_mlflow.representations.handcrafted.handcrafted import Handcrafted

__all__ = ["Handcrafted"]
