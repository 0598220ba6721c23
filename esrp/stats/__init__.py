"""The science of a report: ratings in arrays go in, frozen results come out. No clock, no chance, no database.

What every number means is defined in STATISTICS; docstrings cite its sections.
"""

from esrp.stats.intervals import Interval, Intervals
from esrp.stats.paired import Difference, Differences, differences
from esrp.stats.ratings import Rating, Ratings
from esrp.stats.scores import METHOD, Method, Score, Scores, scores

__all__ = [
    "METHOD",
    "Difference",
    "Differences",
    "Interval",
    "Intervals",
    "Method",
    "Rating",
    "Ratings",
    "Score",
    "Scores",
    "differences",
    "scores",
]
