"""From what a person asks to rows: the query language and what it selects."""
