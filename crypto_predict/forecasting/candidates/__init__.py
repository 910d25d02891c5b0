"""The models that forecast the price. `CANDIDATES` lists them; the combination weighs them against persistence.

* ``candidate``: what a candidate is
* ``autoregression``, ``prophet``, ``smoothing``: the candidates
* ``combination``: weights learned from forecasts whose outcome is known
* ``prophet_fit``: Prophet as the library fits it, which is baked; ``prophet_alone``: its interval
"""

from crypto_predict.forecasting.candidates.autoregression import AUTOREGRESSION
from crypto_predict.forecasting.candidates.prophet import PROPHET
from crypto_predict.forecasting.candidates.smoothing import DAMPED_TREND, LOCAL_LEVEL, THETA

CANDIDATES = (PROPHET, THETA, DAMPED_TREND, LOCAL_LEVEL, AUTOREGRESSION)
NAMES = tuple(candidate.name for candidate in CANDIDATES)
