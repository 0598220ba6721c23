"""What the labels of the bundled suites are called in a prompt; a label that is not known stands for itself."""

from esrp.metrics import Language

CHINESE = {
    "student": "学生",
    "employee": "上班族",
    "freelancer": "自由职业者",
    "self-employed": "个体经营者",
    "angry": "愤怒",
    "happy": "快乐",
    "depressed": "郁闷",
    "anxious": "焦虑",
    "lonely": "寂寞",
    "thoughtful": "若有所思",
    "surprised": "惊讶",
    "sad": "悲伤",
    "touched": "感动",
    "classroom": "教室",
    "library": "图书馆",
    "canteen": "食堂",
    "campus": "校园",
    "office": "办公室",
    "meeting-room": "会议室",
    "restaurant": "餐厅",
    "home": "家里",
    "cafe": "咖啡馆",
    "park": "公园",
    "bar": "酒吧",
    "shop": "店铺",
    "wholesale-market": "批发市场",
    "trade-fair": "展会",
    "car": "车上",
}


def worded(label: str | None, language: Language) -> str | None:
    """The label in a prompt's language."""
    return CHINESE.get(label, label) if label and language == "zh" else label
