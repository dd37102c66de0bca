"""What measurements say: statistics, histograms, the canary's verdict, a run's timeline. Pure functions."""
