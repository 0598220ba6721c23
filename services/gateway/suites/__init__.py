"""What a run is played from: suites, transcripts, generated scenarios."""
