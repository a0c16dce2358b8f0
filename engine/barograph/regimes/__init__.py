"""What every regime model owes: a fit that can be saved, filtered, matched and looked ahead with.

The models themselves are plug-ins.
"""
