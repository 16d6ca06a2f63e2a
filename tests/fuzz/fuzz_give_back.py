"""placeholder"""

import random


def case(draw: random.Random) -> None:
    return None
