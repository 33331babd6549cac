"""Studies: many methodologies on many datasets as one declared plan, whose items run one by one."""
