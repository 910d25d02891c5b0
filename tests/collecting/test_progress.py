"""Without a terminal, log lines take the place of the bar."""

import logging
import re
from contextlib import closing

import pytest

from crypto_predict.collecting.fetching import Progress


def test_log_lines_have_share_rate_and_time_left(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), closing(Progress(seconds=0)) as progress:
        progress.expect(1_000)
        progress.advance("BTC/USD", 250)
    (line,) = caplog.messages
    assert re.fullmatch(r"BTC/USD: 250 of 1000 candles \(25 %\), \d+ a second, 0 seconds left", line)


def test_candles_that_will_not_be_asked_for_after_all_do_not_count(caplog: pytest.LogCaptureFixture) -> None:
    """A source that fails is replaced: the bar would never reach its end."""
    with caplog.at_level(logging.INFO), closing(Progress(seconds=0)) as progress:
        progress.expect(1_000)
        progress.expect(-1_000)
        progress.expect(500)
        progress.advance("ETH/USD", 500)
    assert "500 of 500 candles (100 %)" in caplog.messages[-1]


def test_log_lines_do_not_come_too_often(caplog: pytest.LogCaptureFixture) -> None:
    """A line for each window would be hundreds."""
    with caplog.at_level(logging.INFO), closing(Progress()) as progress:
        progress.expect(1_000)
        for _ in range(100):
            progress.advance("BTC/USD", 10)
    assert caplog.messages == []
