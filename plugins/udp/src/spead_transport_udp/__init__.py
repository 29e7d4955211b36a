"""SPEAD over udp."""
