"""A run as one page: curves, accuracy with intervals, behaviour, costs and episodes, self-contained (`docs/report.md`).

    python -m agents.report runs/evaluate                  # again, or of several runs: RUN ...

`agents.evaluate`, `agents.train_rl` and `agents.train_sft` end with one. `runs` reads, `figures` and `curves` work out
what is shown, `choose`, `album` and `gallery` make the episodes' part, `page` writes.
"""
