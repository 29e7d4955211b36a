"""SPEAD over inproc."""
