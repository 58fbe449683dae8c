"""The parts of the gate's arithmetic, by hand: cap, breaker, pace, what headers tell, spacing in a long run."""

from __future__ import annotations

import math
import tracemalloc
from email.utils import formatdate
from random import Random

import pytest
from hypothesis import event, given, strategies as st

from envoy_async._gate import Ending, Window
from envoy_async._gate._breaker import Breaker
from envoy_async._gate._cap import Cap
from envoy_async._gate._pace import Pace, estimate
from envoy_async._gate._quota import Borders, Left, Quota
from envoy_async._headers import whole

EPOCH = 1_700_000_000


def told(limit: int, remaining: int, reset: float, now: float) -> dict[str, str]:
    """Quota headers as the vendor sends them."""
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": str(int(EPOCH + reset)),
        "Date": formatdate(int(EPOCH + now), usegmt=True),
    }


def busy(window: Window, count: int, now: float, *, limit: int = 100, patient: bool = True) -> None:
    """Send so many requests and have them answered, all at one moment."""
    for number in range(count):
        window.sent(now, patient=patient)
        window.done(now, told(limit, limit - 1 - number, now + 60.0, now), Ending.ANSWERED)


def test_answers_after_a_loss_bring_the_cap_back() -> None:
    """A loss lowers the cap once for all that were under way with it; the answers after it raise it again."""
    cap = Cap()
    cap.known()
    cap.done(Ending.LOST, 2)
    low = cap.size
    cap.answered()
    cap.done(Ending.LOST, 0)
    assert cap.size == pytest.approx(low + 1 / low)
    cap.done(Ending.LOST, 0)
    assert cap.size < low


def test_the_cap_grows_slowly_while_the_quota_is_unknown() -> None:
    """Without quota headers, 8 at once become 9 after 33 answers."""
    cap = Cap()
    for _ in range(33):
        cap.done(Ending.ANSWERED, 7)
    assert cap.size == pytest.approx(9.0, abs=0.05)


def test_the_cap_of_a_known_quota_is_wide_at_once() -> None:
    """A named quota allows 32 at once, and one more per answer until 64."""
    cap = Cap()
    cap.known()
    assert cap.size == 32.0
    cap.done(Ending.ANSWERED, 31)
    assert cap.size == 33.0
    for _ in range(100):
        cap.done(Ending.ANSWERED, 31)
    assert cap.size == 64.0


def test_a_lost_request_narrows_the_cap_once_per_round_trip() -> None:
    """Ten losses of one round trip cut once; then the cap grows by one per round trip."""
    cap = Cap()
    cap.known()
    for left in range(9, -1, -1):
        cap.done(Ending.LOST, left)
    assert cap.size == pytest.approx(32 * 0.7)
    cap.done(Ending.ANSWERED, 0)
    assert cap.size == pytest.approx(22.4 + 1 / 22.4)


def test_the_cap_never_falls_below_one() -> None:
    """However much is lost, one request may be under way; refusals and 5xx change nothing."""
    cap = Cap()
    for _ in range(50):
        cap.done(Ending.LOST, 0)
    assert cap.size == 1.0
    cap.done(Ending.REFUSED, 0)
    cap.done(Ending.FAILED, 0)
    assert cap.size == 1.0


def opened(at: float = 0.0) -> Breaker:
    """Give a breaker opened by ten failures."""
    breaker = Breaker(Random(1))
    for _ in range(10):
        breaker.done(at, Ending.FAILED)
    assert breaker.open
    return breaker


def test_nine_failures_do_not_open_the_breaker() -> None:
    """Ten attempts are needed, and half of them failed, within ten seconds."""
    breaker = Breaker(Random(1))
    for second in range(9):
        breaker.done(float(second), Ending.LOST)
    assert not breaker.open
    breaker.done(11.0, Ending.LOST)  # the first two are too old by now
    assert not breaker.open
    assert breaker.delay(11.0) == 0.0


def test_a_minority_of_failures_does_not_open_the_breaker() -> None:
    """With 11 good attempts among 21 it stays shut, abandoned ones say nothing, and one failure more opens it."""
    breaker = Breaker(Random(1))
    for _ in range(11):
        breaker.done(0.0, Ending.ANSWERED)
    for _ in range(10):
        breaker.done(0.0, Ending.FAILED)
        breaker.done(0.0, Ending.ABANDONED)
    assert not breaker.open
    breaker.done(0.0, Ending.FAILED)
    assert breaker.open


def test_an_open_breaker_lets_one_probe_go() -> None:
    """One probe after 1.5 to 2.5 seconds; while it is under way nobody else goes; if it fails, one more."""
    breaker = opened()
    wait = breaker.delay(0.0)
    assert 1.5 <= wait <= 2.5
    assert breaker.delay(wait) == 0.0
    breaker.sent()
    assert breaker.delay(100.0) == math.inf
    assert not breaker.done(wait + 1.0, Ending.LOST)
    assert 1.5 <= breaker.delay(wait + 1.0) <= 2.5


def test_the_next_in_line_probes_when_the_probe_was_abandoned() -> None:
    """After a cancelled probe the next one goes two seconds later; one that was never sent is made up for at once."""
    breaker = opened()
    breaker.sent()
    assert not breaker.done(9.0, Ending.ABANDONED)
    assert 1.5 <= breaker.delay(9.0) <= 2.5
    breaker.sent()
    breaker.unsent()
    assert breaker.delay(11.5) == 0.0


def test_an_answer_closes_the_breaker_and_begins_a_ramp() -> None:
    """From a tenth of the rate to all of it within ten seconds."""
    breaker = opened()
    breaker.sent()
    assert breaker.done(10.0, Ending.ANSWERED)
    assert breaker.delay(10.0) == 0.0
    assert breaker.share(10.0) == pytest.approx(0.1)
    assert breaker.share(15.0) == pytest.approx(0.55)
    assert breaker.share(20.0) == breaker.share(99.0) == 1.0


@pytest.mark.parametrize(
    ("accepted", "pause", "expected"),
    [
        ([], 1.0, 0.0),
        ([0.0], 0.0, 20.0),  # one request, no pause: taken over 50 ms
        ([0.0] * 50 + [0.2] * 50, 0.8, 100 / 1.2),  # nearly a second is a second, and jitter
        ([0.0] * 50 + [0.5] * 50, 0.3, 125.0),
        ([float(second) for second in range(61)], 1.0, 1.0),
        ([0.0] * 30 + [58.0 + number / 10 for number in range(20)], 1.0, 20 / 3),
        ([0.0] * 100 + [90.0], 9.0, 1 / 11),  # what is older than a minute says nothing
    ],
)
def test_the_estimate_is_the_best_of_several_horizons(accepted: list[float], pause: float, expected: float) -> None:
    """What was accepted within the last 2 to 60 seconds, over that time and the pause."""
    now = max(accepted, default=0.0)
    assert estimate(accepted, now, pause) == pytest.approx(expected, rel=0.06)


def test_the_curve_of_the_rate() -> None:
    """The first estimate begins 2 % lower, a later one 5 %, the rate is back after 75 s, and then grows."""
    pace = Pace()
    assert pace.rate(0.0) == math.inf
    pace.cut(50.0, [float(second) for second in range(51)] * 2, 1.0)
    assert pace.on
    assert pace.rate(51.0) == pytest.approx(2.0, rel=0.03)
    now = 51.0 + 200.0
    pace.cut(now, [now - second / 2 for second in range(121, 0, -1)], 0.0)
    assert pace.rate(now) == pytest.approx(1.9, rel=0.02)
    assert pace.rate(now + 75.0) == pytest.approx(2.0, rel=0.02)
    assert pace.rate(now + 225.0) == pytest.approx(2.8, rel=0.02)


@pytest.mark.parametrize(("accepted", "rate"), [(3, 1.5), (2, 50.0), (60, 90.0)])
def test_a_second_refusal_at_once_means_the_estimate_was_too_high(accepted: int, rate: float) -> None:
    """Then what was accepted in between is the rate, if it is far off; else the rate falls a little, or by half."""
    pace = Pace()
    pace.cut(0.0, [-1.0 + number / 200 for number in range(200)], 1.0)
    assert pace.rate(1.0) == pytest.approx(98.0, rel=0.02)
    pace.cut(2.0, [-1.0, *(1.5 + number / 200 for number in range(accepted))], 1.0)
    assert pace.rate(3.0) == pytest.approx(0.95 * rate, rel=0.02)


def test_after_a_long_pause_the_estimate_counts_again() -> None:
    """A server that counts windows lets them out unevenly after a burst: that is no reason to crawl."""
    pace = Pace()
    pace.cut(2.0, [number / 100 for number in range(200)], 58.0)
    pace.cut(62.0, [61.0, 61.5, 62.0], 1.0)
    assert pace.rate(63.0) == pytest.approx(0.95 * 1.5, rel=0.05)


def test_a_refusal_after_a_quiet_time_does_not_stop_everything() -> None:
    """The log of a client that hardly sent says little about the quota: the rate falls by a third, not to nothing."""
    pace = Pace()
    pace.cut(0.0, [-1.0 + number / 200 for number in range(200)], 1.0)
    before = pace.rate(50.0)
    pace.cut(50.0, [50.0], 1.0)
    assert pace.rate(51.0) == pytest.approx(0.95 * 0.7 * before, rel=0.02)


def test_spacing_keeps_the_rate_though_timers_are_late() -> None:
    """A request 5 ms late takes nothing from the next; nothing is saved up beyond 50 ms, or over a pause."""
    pace = Pace()
    for _ in range(6):
        assert pace.delay(1.0, 100.0) == 0.0
        pace.spend(1.0, 100.0, 0.0)
    assert pace.delay(1.0, 100.0) == pytest.approx(0.01)
    pace.spend(1.015, 100.0, 0.0)
    assert pace.delay(1.015, 100.0) == pytest.approx(0.005)
    assert pace.delay(9.0, 0.0) == math.inf
    pace.spend(9.0, 0.0, 0.0)
    pace.spend(9.0, 10.0, 0.0)
    assert pace.delay(9.0, 10.0) == pytest.approx(0.05)
    pace.spend(20.0, 100.0, 19.98)
    assert pace.delay(20.0, 100.0) == 0.0
    pace.spend(30.0, 100.0, 30.0)
    assert pace.delay(30.0, 100.0) == pytest.approx(0.01)


@pytest.mark.parametrize("text", [None, "", "x", "-5", "1e3", "٣", "1.5", "9" * 13, " 5"])
def test_what_is_no_whole_number_is_ignored(text: str | None) -> None:
    """Garbage in a header is the same as no header."""
    assert whole(text) is None


@given(st.text(max_size=15))
def test_no_text_breaks_the_reading_of_numbers(text: str) -> None:
    """Any header text gives a whole number or nothing."""
    found = whole(text)
    assert found is None or 0 <= found < 10**12


def test_a_window_with_fixed_borders_is_longer_than_its_rest() -> None:
    """Alone 10 s before the border, the window seems 10 s long; the first answer behind the border corrects it."""
    quota = Quota()
    quota.learn(0.0, told(100, 99, 10.0, 0.0), 1, 0)
    assert quota.length == 10.0
    quota.learn(11.0, told(100, 90, 70.0, 11.0), 1, 0)
    assert quota.length == 59.0


def test_others_are_known_to_the_store() -> None:
    """With a store, nothing is concluded from `Remaining`."""
    quota = Quota()
    quota.infers = False
    quota.learn(0.0, told(100, 40, 10.0, 0.0), 1, 0)
    assert (quota.limit, quota.foreign) == (100, 0)


def test_garbage_in_remaining_or_reset_leaves_the_limit() -> None:
    """Each header is read by itself."""
    quota = Quota()
    quota.learn(0.0, told(100, 40, 10.0, 0.0) | {"X-RateLimit-Remaining": "soon"}, 1, 0)
    assert (quota.limit, quota.foreign) == (100, 0)
    quota.learn(0.0, told(100, 40, 10.0, 0.0) | {"X-RateLimit-Reset": "soon"}, 1, 0)
    assert (quota.foreign, quota.refill_at, quota.borders.rate(0.0, 0)) == (59, 61.0, math.inf)


def fixed_window(borders: Borders, began: float, own: int, others: int, reset: int) -> None:
    """Tell of a window of 60 s in which so many own requests are spread, and so many of others."""
    for number in range(1, own + 1):
        at = began + number * 60.0 / (own + 1)
        used = number + others * number // own
        borders.told(at, reset, began + 60.0 - at, 60.0, Left(100, 100 - used))


def test_what_others_take_between_fixed_borders_is_left_to_them() -> None:
    """30 of 100 by others: the rest of a window is spread over its time, less half a request per second."""
    borders = Borders()
    fixed_window(borders, 0.0, 60, 30, 60)
    borders.told(60.1, 120, 59.9, 60.0, Left(100, 99))
    assert borders.others == pytest.approx(0.5)
    assert borders.rate(60.1, 0) == pytest.approx((99 - 3) / 59.9 - 0.5)
    assert borders.rate(121.0, 6) == pytest.approx(97 / 60 - 6 / 60 - 0.5)
    borders.told(60.2, 60, 0.5, 60.0, Left(100, 3))  # overtaken by the next window's
    assert borders.rate(60.1, 0) == pytest.approx((99 - 3) / 59.9 - 0.5)
    borders.told(119.0, 120, 1.0, 60.0, Left(100, 2))
    assert borders.rate(119.0, 0) == 0.0


def test_others_are_averaged_and_forgotten() -> None:
    """A second window weighs as much as all before; one without others, or a `Reset` that moves, ends it."""
    borders = Borders()
    fixed_window(borders, 0.0, 60, 30, 60)
    fixed_window(borders, 60.0, 60, 12, 120)
    borders.told(120.1, 180, 59.9, 60.0, Left(100, 99))
    assert borders.others == pytest.approx((0.5 + 0.2) / 2)
    borders.told(120.2, 181, 59.9, 60.0, Left(100, 60))
    assert borders.others == 0.0
    fixed_window(borders, 180.0, 60, 0, 240)
    borders.told(240.1, 300, 59.9, 60.0, Left(100, 99))
    assert borders.others == 0.0


def test_a_new_window_is_asked_about_whatever_others_took() -> None:
    """Others that took everything do not stop us for ever: a twentieth of the rate goes on asking."""
    borders = Borders()
    fixed_window(borders, 0.0, 2, 98, 60)
    for second in range(61, 110):
        borders.told(float(second), 120, 120.0 - second, 60.0, Left(100, 0))
    borders.others = 5.0
    assert borders.rate(120.5, 0) == pytest.approx(0.05 * 100 / 60)


def test_a_shared_window_with_borders_spaces_requests() -> None:
    """The window asks its borders for the rate as soon as others are seen there."""
    window = Window(Random(1))
    for number in range(1, 61):
        at = number * 60.0 / 61
        window.sent(at)
        window.done(at, told(100, 100 - number - number // 2, 60.0, at), Ending.ANSWERED)
    window.sent(60.5)
    window.done(60.5, told(100, 99, 120.0, 60.5), Ending.ANSWERED)
    window.sent(60.6)
    assert 0.5 < window.delay(60.6) <= 1.0


def test_interactive_calls_may_use_the_last_of_the_quota() -> None:
    """Beside a patient run that used 97 of 100, three interactive calls go at once, and no fourth."""
    window = Window(Random(1))
    busy(window, 97, 0.0)
    assert window.delay(1.0, patient=True) == pytest.approx(59.0)
    for _ in range(3):
        assert window.delay(1.0) == 0.0
        window.sent(1.0)
    assert window.delay(1.0) == pytest.approx(59.0)


def test_interactive_calls_alone_use_97_percent() -> None:
    """Without a patient run beside, the last 3 % stay free."""
    window = Window(Random(1))
    busy(window, 97, 0.0, patient=False)
    assert window.delay(1.0) == pytest.approx(59.0)


@given(st.integers(0))
def test_the_short_way_lets_nobody_go_whom_the_long_way_would_hold(seed: int) -> None:
    """Whatever was sent, answered, refused, lost, or paused before: who goes without a further look might have gone."""
    rng, window, now, short = Random(seed), Window(Random(1)), 0.0, 0
    limits = [3, 20, 700, 3_000]
    limit = rng.choice(limits)
    for _ in range(60):
        now += rng.choice([0.0, 0.01, 0.3, 2.0, 61.0])
        patient = rng.random() < 0.5
        for _ in range(rng.choice([1, 5, 30])):
            if window._passes > 0.0 and not window.full:
                assert window.delay(now, patient=patient) == 0.0
                assert window.enter(now, patient=patient)
                short += 1
            elif window.delay(now, patient=patient) == 0.0:
                window.sent(now, patient=patient)
        now += rng.choice([0.0, 0.05, 1.5])
        for _ in range(rng.randint(0, window.in_flight)):
            ending = rng.choice([*[Ending.ANSWERED] * 20, *Ending])
            headers = rng.choice([None, {}, told(limit, rng.randint(0, limit - 1), now + 30.0, now)])
            window.done(now, headers, ending, 1.0 if ending is Ending.REFUSED else 0.0)
        limit = rng.choice(limits) if rng.random() < 0.1 else limit
    event("the short way was taken" if short else "nobody took the short way")


def test_a_large_quota_costs_little_memory() -> None:
    """Of 10,000 requests in the trailing window, each takes ten bytes at most."""
    window = Window(Random(1))
    busy(window, 100, 0.0, limit=10**9)
    tracemalloc.start()
    try:
        busy(window, 10_000, 1.0, limit=10**9)
        assert tracemalloc.get_traced_memory()[0] <= 100_000
    finally:
        tracemalloc.stop()


def test_a_long_run_is_spaced_evenly_until_it_pauses() -> None:
    """After a window of waiting, patient requests go 60/97 s apart; interactive ones still go at once."""
    window = Window(Random(1))
    busy(window, 97, 0.0)
    for began in (0.0, 60.0):
        for second in (0.5, 30.0):
            assert window.delay(began + second, patient=True) > 0.0
        assert window.delay(began + 60.2, patient=True) == 0.0
        if not began:
            busy(window, 97, 60.0)
    window.sent(120.2, patient=True)
    assert window.delay(120.2, patient=True) == pytest.approx(60 / 97 - 0.05)
    assert window.delay(120.2) == 0.0
    window.done(120.3, None, Ending.ANSWERED)
    busy(window, 2, 240.0)
    assert window.delay(240.0, patient=True) == 0.0


def test_refusals_without_headers_give_a_rate_once_per_pause() -> None:
    """Fifty accepted in a burst and a pause of one second: about 50 per second, whatever else is refused with it."""
    window = Window(Random(1))
    for number in range(50):
        window.sent(number / 1000)
        window.done(number / 1000, {}, Ending.ANSWERED)
    for _ in range(4):
        window.sent(0.06)
    for _ in range(4):
        window.done(0.1, {"Retry-After": "1"}, Ending.REFUSED, 1.0)
    assert window.delay(0.1) == 1.0
    window.sent(1.1)
    assert window.delay(1.1) == 5.0, "one asks when the pause is over"
    window.done(1.2, {}, Ending.REFUSED, 1.0)
    window.sent(2.2)
    window.done(2.2, {}, Ending.ANSWERED)
    assert 0.015 < window.delay(2.2) < 0.04, "nothing was accepted in between, so nothing was learned"


def test_refusals_in_a_row_are_counted_by_their_pauses() -> None:
    """All that is refused within one pause counts once; an accepted request begins the count anew."""
    window = Window(Random(1))
    for at, count in (0.0, 1), (0.1, 1), (1.5, 2), (1.6, 2), (4.0, 3):
        window.sent(at)
        assert window.refusals(at) == count
        window.done(at, {}, Ending.REFUSED, 1.0)
    assert window.refusals(65.1) == 1, "a quiet minute ends the row"
    window.sent(6.0)
    window.done(6.0, {}, Ending.ANSWERED)
    assert window.refusals(6.1) == 1


@pytest.mark.parametrize("seconds", [61.0, 3_600.0, 1e9])
def test_an_absurd_pause_says_nothing_of_the_rate(seconds: float) -> None:
    """After a pause longer than any window of the vendor's, requests go at the rate of before."""
    window = Window(Random(1))
    for number in range(50):
        window.sent(number / 10)
        window.done(number / 10, {}, Ending.ANSWERED)
    window.sent(5.0)
    window.done(5.0, {}, Ending.REFUSED, seconds)
    assert window.delay(5.0) == min(seconds, 3_600.0)
    for later in (0.0, 0.1, 0.2):
        assert window.delay(3_700.0 + later) == 0.0
        window.sent(3_700.0 + later)
        window.done(3_700.0 + later, {}, Ending.ANSWERED)


def test_a_minute_of_refusals_does_not_spoil_the_rate_for_hours() -> None:
    """A server that refuses everything for a minute and is well again gets a useful rate soon after."""
    window, now = Window(Random(1)), 0.0
    for _ in range(100):
        window.sent(now)
        window.done(now, {}, Ending.ANSWERED)
        now += 0.1
    while now < 70.0:
        now += max(window.delay(now), 0.01)
        if window.delay(now) == 0.0:
            window.sent(now)
            window.done(now, {}, Ending.REFUSED, 1.0)
    began, accepted = now, 0
    while now < began + 60.0:
        now += max(window.delay(now), 0.01)
        if window.delay(now) == 0.0:
            window.sent(now)
            window.done(now, {}, Ending.ANSWERED)
            accepted += 1
    assert accepted >= 200


def test_headers_that_explain_all_end_a_pace() -> None:
    """A refusal that no header explains spaces requests, until answers with headers have told of none for a window."""
    window = Window(Random(1))
    busy(window, 50, 0.0)
    window.sent(1.0)
    window.done(1.0, {}, Ending.REFUSED, 1.0)
    window.sent(2.5)
    assert 0.0 < window.delay(2.5) < 60.0
    window.done(2.6, told(100, 48, 62.0, 2.6), Ending.ANSWERED)
    window.sent(63.0)
    window.done(63.0, told(100, 99, 123.0, 63.0), Ending.ANSWERED)
    window.sent(63.0)
    assert window.delay(63.0) == 0.0


def test_a_refusal_that_a_lower_limit_explains_changes_no_rate() -> None:
    """When the refusal itself names the new limit, the window follows it, and nothing is spaced."""
    window = Window(Random(1))
    busy(window, 40, 0.0)
    window.sent(1.0)
    window.done(1.0, told(20, 0, 60.0, 1.0), Ending.REFUSED, 2.0)
    assert window.quota.limit == 20
    assert window.delay(3.5) == pytest.approx(56.5)
    assert window.delay(60.5) == 0.0
    window.sent(60.5)
    assert window.delay(60.5) == 0.0


def test_a_server_that_refuses_bursts_gets_even_spacing() -> None:
    """Refused though limit and `Remaining` said there was room: from then on requests are spaced."""
    window = Window(Random(1))
    busy(window, 10, 0.0)
    window.sent(0.0)
    window.done(0.1, told(100, 90, 60.0, 0.0), Ending.REFUSED, 1.0)
    window.sent(1.2)
    assert window.delay(1.2) > 0.04


def test_after_an_outage_requests_come_back_slowly() -> None:
    """Ten failures stop everybody but one probe; its answer begins spaced traffic at a tenth of the rate."""
    window = Window(Random(1))
    busy(window, 1, 0.0, limit=6000)
    for _ in range(10):
        window.sent(1.0)
        window.done(1.0, None, Ending.LOST)
    wait = window.delay(1.0)
    assert 1.5 <= wait <= 2.5
    window.sent(1.0 + wait)
    assert window.delay(9.0) == math.inf
    window.unsent()
    window.sent(9.0)
    window.done(9.0, None, Ending.ANSWERED)
    window.sent(9.0)
    window.done(9.0, None, Ending.ANSWERED)
    assert window.delay(9.0) == pytest.approx(1 / (0.1 * 97) - 0.05, rel=0.01)


def test_what_ended_with_its_loop_is_forgotten() -> None:
    """Requests under way when a loop died hold no place in the next."""
    window = Window(Random(1))
    busy(window, 1, 0.0)
    window.sent(0.0)
    window.sent(0.0)
    window.abandon()
    assert window.in_flight == 0


def test_what_a_store_knows_is_taken_over_once() -> None:
    """A limit from the store counts until the server tells its own; a pause counts always."""
    window = Window(Random(1))
    window.told(0.0, None, 60.0, 0.0)
    assert not window.quota.limit
    window.told(0.0, 50, 30.0, 2.0)
    window.told(0.0, 70, 60.0, 0.0)
    found = window.quota.limit, window.quota.length, window.delay(0.0)
    assert found == (50, 30.0, 2.0)


def test_after_an_outage_no_second_is_a_herd() -> None:
    """From the first answer on, whoever waits: each second stays near the quota's rate, for two minutes and more."""
    window, now = Window(Random(1)), 0.0
    busy(window, 1, 0.0, limit=600)
    for _ in range(20):
        window.sent(1.0)
        window.done(1.0, None, Ending.LOST)
    while window.delay(now) > 0.0:
        now += 0.1
    began = now = max(now, 70.0)
    window.sent(now)
    window.done(now, told(600, 599, now + 60.0, now), Ending.ANSWERED)
    seconds: dict[int, int] = {}
    while now < began + 150.0:
        delay = window.delay(now)
        if delay > 0.0:
            now += min(delay, 1.0)
            continue
        window.sent(now)
        window.done(now, None, Ending.ANSWERED)
        seconds[int(now)] = seconds.get(int(now), 0) + 1
    assert max(seconds.values()) <= 11
    assert sum(count for second, count in seconds.items() if second >= began + 15) >= 0.9 * 10 * 134
