"""Studies: plans of many methodologies on many datasets, whose items run one after the other."""
