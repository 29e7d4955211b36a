"""Comparisons with spead2 and with the machine's limits. Run them with ``make bench`` or ``make bench-quick``."""
