"""How long to wait after failures, and which of them are logged."""

from crypto_predict.outages import Outage, backoff


def test_the_backoff_doubles_up_to_its_bound_with_jitter() -> None:
    for number, longest in enumerate([1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]):
        waits = [backoff(number, 1.0, 30.0, least=0.0) for _ in range(300)]
        assert 0 <= min(waits) < 0.1 * longest
        assert 0.9 * longest < max(waits) <= longest
    assert backoff(10**6, 1.0, 30.0, least=1.0) == 30.0


def test_an_outage_is_logged_once_and_again_for_another_reason_or_after_a_while() -> None:
    """A log that repeats a failure every second hides everything else."""
    clock = [0.0]
    outage = Outage(lambda: clock[-1], reminded=600)
    assert (outage.over(), outage.lasts) == (None, 0.0)
    logged = []
    for seconds, reason in ((5.0, "away"), (6.0, "away"), (7.0, "refused"), (8.0, "refused"), (607.0, "refused")):
        clock.append(seconds)
        logged.append(outage.failed(reason))
    assert logged == [True, False, True, False, True]
    assert (outage.failures, outage.lasts) == (5, 602.0)
    assert (outage.over(), outage.failures, outage.over()) == (602.0, 0, None)
    assert outage.failed("refused")
