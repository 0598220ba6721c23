"""The nine metrics in three dimensions, and what each score means: the one source for panel, LoRA and rating page.

After the paper's section 4.1 and appendix E, in our own words.
"""

from dataclasses import dataclass
from typing import Literal

Dimension = Literal["BDC", "RPC", "ESC"]
Language = Literal["zh", "en"]

SCORES = (1, 2, 3, 4, 5)


@dataclass(frozen=True, slots=True)
class Wording:
    """One metric in one language: its name, what to look at, and what scores under, at and over 3 say."""

    name: str
    question: str
    low: str
    middle: str
    high: str


@dataclass(frozen=True, slots=True)
class Metric:
    """One of the nine. ``id`` is its name everywhere: wire, database, text output."""

    id: str
    dimension: Dimension
    en: Wording
    zh: Wording

    def wording(self, language: Language) -> Wording:
        """The wording in ``language``."""
        return self.zh if language == "zh" else self.en


DIMENSIONS: dict[Dimension, str] = {
    "BDC": "basic dialogue capability",
    "RPC": "role-playing capability",
    "ESC": "emotional support capability",
}

METRICS: tuple[Metric, ...] = (
    Metric(
        "consistency",
        "BDC",
        Wording(
            "Consistency",
            "Do the replies answer what the user actually said or asked?",
            "beside the point",
            "only by a detour",
            "straight to it",
        ),
        Wording("一致性", "回复是否真正回应了用户所说、所问的内容？", "答非所问", "绕着弯回应", "直接切题"),
    ),
    Metric(
        "fluency",
        "BDC",
        Wording(
            "Fluency",
            "Do the replies sound like a person talking rather than a machine writing?",
            "sounds like a machine",
            "hard to tell",
            "sounds like a person",
        ),
        Wording("流畅性", "回复像真人在说话，还是像机器在写作？", "像机器", "说不准", "像真人"),
    ),
    Metric(
        "coherence",
        "BDC",
        Wording(
            "Coherence",
            "Does the conversation hold together from turn to turn and keep its thread?",
            "falls apart",
            "partly holds",
            "holds together throughout",
        ),
        Wording("连贯性", "前后各轮是否衔接自然、话题不断线？", "前后脱节", "勉强衔接", "始终连贯"),
    ),
    Metric(
        "character_knowledge",
        "RPC",
        Wording(
            "Character knowledge",
            "Do the replies draw on the character's world and story, and get them right?",
            "draws on it and gets it wrong",
            "draws on nothing of it",
            "draws on it and gets it right",
        ),
        Wording("角色知识", "回复是否用到角色的世界与经历，用得是否正确？", "用了但用错", "完全没有用到", "用到且正确"),
    ),
    Metric(
        "speaking_style",
        "RPC",
        Wording(
            "Speaking style",
            "Is this how the character talks: tone, length, directness, pet phrases?",
            "not this character's voice",
            "could be anybody",
            "unmistakably this character",
        ),
        Wording(
            "说话风格",
            "语气、长短、直接与否、口头禅，是不是这个角色的腔调？",
            "不像该角色",
            "像谁都行",
            "一听就是该角色",
        ),
    ),
    Metric(
        "behavioral_habits",
        "RPC",
        Wording(
            "Behavioral habits",
            "Would the character act, decide and advise like this?",
            "against their nature",
            "neither fits nor clashes",
            "just as they would",
        ),
        Wording("行为习惯", "角色会这样做事、这样选择、这样劝人吗？", "违背其性格", "谈不上符合或违背", "正是其作风"),
    ),
    Metric(
        "emotional_value",
        "ESC",
        Wording(
            "Emotional value",
            "Does the user come away feeling understood and supported?",
            "leaves them feeling worse",
            "offers no support",
            "understood and supported",
        ),
        Wording("情绪价值", "用户是否感到被理解、被支持？", "反而更难受", "没有给予支持", "感到被理解和支持"),
    ),
    Metric(
        "experience_sharing",
        "ESC",
        Wording(
            "Experience sharing",
            "Does the character share something they truly lived through that fits this moment?",
            "shares something invented or out of place",
            "shares nothing",
            "shares something true and fitting",
        ),
        Wording("经历分享", "角色是否分享了自己真实且贴合当下的经历？", "编造或不合时宜", "没有分享", "真实而贴切"),
    ),
    Metric(
        "demand_matching",
        "ESC",
        Wording(
            "Demand matching",
            "Does the user get what they need here: to be comforted, or to be advised?",
            "gives what is not needed",
            "meets the need halfway",
            "meets the need exactly",
        ),
        Wording("需求匹配", "用户此刻要的是安慰还是办法，得到了吗？", "给的不是所需", "满足了一部分", "正中所需"),
    ),
)

METRIC_IDS: tuple[str, ...] = tuple(metric.id for metric in METRICS)


_METRICS_OF: dict[str, tuple[str, ...]] = {
    "overall": METRIC_IDS,
    **{name: tuple(metric.id for metric in METRICS if metric.dimension == name) for name in DIMENSIONS},
    **{id: (id,) for id in METRIC_IDS},
}
ENDPOINTS: tuple[str, ...] = tuple(_METRICS_OF)  # what has a score: overall, the dimensions, the metrics
# As the paper's tables print them: each dimension's metrics, then their mean; in the end overall.
PRINTED: tuple[str, ...] = (*(name for of in DIMENSIONS for name in (*_METRICS_OF[of], of)), "overall")


def metrics_of(endpoint: str) -> tuple[str, ...]:
    """The metrics whose mean an endpoint is, in the paper's order: nine, a dimension's three, or the metric itself."""
    return _METRICS_OF[endpoint]


def columns_of(endpoint: str) -> list[int]:
    """Where these metrics stand among the nine."""
    return [METRIC_IDS.index(metric) for metric in metrics_of(endpoint)]
