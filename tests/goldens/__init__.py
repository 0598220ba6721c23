"""What comes out of seeded runs and what others rely on, held byte for byte; `make goldens` writes the files anew.

A change that is wanted changes its files in its own commit and says why.
"""
