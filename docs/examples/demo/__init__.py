"""The demonstration: a digitiser's stream from spead2, and the same stream over several transports.

Run it with ``make demo``.
"""
