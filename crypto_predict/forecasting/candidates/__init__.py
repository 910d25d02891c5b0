"""The models that forecast the price. `CANDIDATES` lists them; the combination weighs them against persistence.

* ``candidate``: what a candidate is
* ``autoregression``, ``prophet``, ``smoothing``: the candidates
* ``weekly``: the forecasts of all candidates at every cutoff; ``estimates``: what they keep for the next training
* ``combination``: weights learned from forecasts whose outcome is known
* ``prophet_map``: Prophet's curve by our own solver; ``prophet_fit``: that of the library, which is baked
* ``prophet_alone``: the interval of Prophet alone
"""

from crypto_predict.forecasting.candidates.autoregression import Autoregression
from crypto_predict.forecasting.candidates.candidate import Candidate
from crypto_predict.forecasting.candidates.prophet import Prophet
from crypto_predict.forecasting.candidates.smoothing import DampedTrend, LocalLevel, Smoothing, Theta

CANDIDATES: tuple[Candidate, ...] = (
    Prophet(),
    Smoothing("theta", Theta),
    Smoothing("damped trend", DampedTrend),
    Smoothing("local level", LocalLevel),
    Autoregression(),
)
NAMES = tuple(candidate.name for candidate in CANDIDATES)
