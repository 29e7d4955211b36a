"""Comparisons with spead2 and with the machine's limits: ``make bench`` or ``make bench-quick``.

From what is done to what is told of it: `operation`, `library`, `compiled`, `streams`, `parts`, `chunks`, `scaling`,
`limits` → `cases` → `worker`, a contender's process → `contenders`, `measure` → `results` → `grid`, `chart`, `page`.
What `worker` imports also runs in the environment of `source_build`, which has little more than NumPy and spead2.
"""
