"""Pretrained networks: for each a module with what it makes of a clip.

A module has ``VERSION``, raised whenever its results change, and three functions: ``shape`` of a
layer's values, ``load`` of a file of weights, and ``embed`` of a clip by a loaded network. They
import frameworks inside, so that shapes cost nothing.
"""
