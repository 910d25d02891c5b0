"""How hypothesis searches: the same examples in every run, and no deadline on a shared machine.

``pytest --hypothesis-profile explore`` searches elsewhere each time.
"""

from hypothesis import settings

settings.register_profile("steady", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile("steady")
