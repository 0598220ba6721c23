"""stub"""
def demo(*, keep: bool) -> int: return 0
