"""Out-of-sample evaluation: replay at past cutoffs, scores, metrics."""
