"""Colours of figures: a palette that people with colour blindness can distinguish.

References
----------
M. Okabe, K. Ito, "Color universal design (CUD): how to make figures and presentations that are
friendly to colorblind people", 2008.
"""

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
"""The palette without yellow, which has too little contrast on white."""
GREY = "#777777"
QUADRANT_COLOURS = (ORANGE, VERMILION, BLUE, GREEN)
"""Colours of the quadrants, in the order of ``QUADRANTS``."""
