"""Send and receive SPEAD streams over any transport, chosen by configuration."""
