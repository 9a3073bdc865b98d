"""A device and a terminal at once, which sees each half minute that a match reaches a terminal.

Not below `services`: it is a client of the hub, as the terminal is, and no service may import that.
"""
