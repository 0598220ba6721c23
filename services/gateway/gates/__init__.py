"""Release gates: policies, baselines, and the verdict on a run."""
