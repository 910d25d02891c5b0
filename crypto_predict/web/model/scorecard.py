"""The live record: the outcomes of earlier forecasts.

Every release records its forecasts for the next 30 closes in a ledger, to which entries are only ever appended; `head`
is the digest of its last entry. A forecast is due once the close that it predicts is known. Errors are of log price,
and relative to persistence, the newest price at the time of the release. Forecasts overlap and err together: `days`
counts the different closes they were measured by. Forecasts of simulated prices are kept apart.

`months` has the coverage of the 80 % interval by the month of the target, and `lately` that of the newest year with the
p value of a difference from 80 %. `probabilities` scores the probability of a close above each round price near a
forecast: the Brier score with its parts, beside that of persistence, and what was said beside what came. `hours` has
the same of 1, 6 and 24 hours after the newest price. `touches` scores the probability that prices around the newest one
are touched, within these hours and until the closes 1, 7 and 30 days after its last candle, beside twice the
probability of a close beyond them.

`models` has the record of each model, 1, 7, 30 and 90 days ahead, with the figures of the backtest: errors and CRPS
relative to persistence, Winkler score and coverage, each with its 95 % confidence interval, and the number of outcomes.
Of the releases after the same close the first is scored. `pairwise` compares every two models where both have forecast,
with the test of Diebold and Mariano, and says in words which one is better, or that nobody can say. A model that is no
longer released keeps its record.
"""

from crypto_predict.baked.schema import Scorecard
from crypto_predict.web.http.response import Rendered, render
from crypto_predict.web.http.schemas import cut
from crypto_predict.web.model import endpoint
from crypto_predict.web.model.snapshots import Snapshot


def rendered(snapshot: Snapshot) -> Rendered:
    """Return the answer."""
    model = snapshot.answers.model
    # The member `simulated` of the scorecard is the record of invented prices.
    return render(model.scorecard, simulated=model.card.simulated or bool(model.scorecard.simulated))


OPERATION = endpoint.ModelOperation(
    rule="/scorecard",
    answer=endpoint.constant(rendered),
    text=__doc__,
    place=2,
    schemas={"Scorecard": Scorecard},
    examples=lambda snapshot: [cut(snapshot.answers.model.scorecard)],
)
