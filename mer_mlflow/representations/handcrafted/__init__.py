"""Handcrafted features: about 1500 named numbers per clip; one module for each dimension."""

from mer_mlflow.representations.handcrafted.handcrafted import Handcrafted

__all__ = ["Handcrafted"]
