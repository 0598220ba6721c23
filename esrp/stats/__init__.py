"""The science of a report: ratings in arrays go in, frozen results come out. No clock, no chance, no database.

What every number means is defined in STATISTICS; docstrings cite its sections.
"""

from esrp.stats.agreement import AgainstHumans, Agreement, against_humans, agreement
from esrp.stats.calibration import Calibrated, Calibrations, calibrations
from esrp.stats.evidence import Evidence
from esrp.stats.gate import Rule, Terms, Verdict, decide
from esrp.stats.groups import Labels, Table, table
from esrp.stats.intervals import Interval, Intervals
from esrp.stats.paired import Difference, Differences, differences
from esrp.stats.power import Detectable, detectable, needed_dialogues
from esrp.stats.ratings import Rating, Ratings
from esrp.stats.scores import METHOD, Method, Score, Scores, scores

__all__ = [
    "METHOD",
    "AgainstHumans",
    "Agreement",
    "Calibrated",
    "Calibrations",
    "Detectable",
    "Difference",
    "Differences",
    "Evidence",
    "Interval",
    "Intervals",
    "Labels",
    "Method",
    "Rating",
    "Ratings",
    "Rule",
    "Score",
    "Scores",
    "Table",
    "Terms",
    "Verdict",
    "against_humans",
    "agreement",
    "calibrations",
    "decide",
    "detectable",
    "differences",
    "needed_dialogues",
    "scores",
    "table",
]
