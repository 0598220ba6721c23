"""The judge that is taught: Qwen3-8B with a LoRA adapter of rank 8 (paper, section 5.3).

What imports torch stands in ``model``, ``training`` and ``evaluation``; the rest is pure.
"""
