"""What the product costs, measured; and whether that stays within what it promises.

Every figure that is compared is measured in the same run as what it is compared with, the
contenders taking turns (A B C A B C …), so that a machine that slows down slows them all. A figure
is the median of at least five turns; a ratio is the median of the ratios within each turn.
"""
