"""Cases from the field: what real Slurms said, and what must come of it."""
