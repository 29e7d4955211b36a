"""The SPEAD protocol without any input or output: bytes in, values out, and back."""
