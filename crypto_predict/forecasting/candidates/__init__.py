"""The models that forecast the price. `CANDIDATES` lists them; the combination weighs them against persistence.

* ``candidate``: what a candidate is
* ``autoregression``, ``prophet``, ``smoothing``: the candidates
* ``combination``: weights learned from forecasts whose outcome is known
* ``prophet_fit``: Prophet as the library fits it, which is baked
"""

from functools import partial

from crypto_predict.forecasting.candidates import autoregression, prophet, smoothing
from crypto_predict.forecasting.candidates.candidate import Candidate

CANDIDATES: dict[str, Candidate] = {  # by their names in model card and tables
    "prophet": prophet.forecast,
    "theta": partial(smoothing.forecast, smoothing.Theta.estimate),
    "damped trend": partial(smoothing.forecast, smoothing.DampedTrend.estimate),
    "local level": partial(smoothing.forecast, smoothing.estimate_level),
    "autoregression": autoregression.forecast,
}
NAMES = tuple(CANDIDATES)
