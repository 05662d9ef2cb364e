import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress

import numpy as np
import psutil
import pytest
import zmq
from streams import exhaust, process, streaming
from wire_samples import bent, framed, golden

import realtime
from realtime import StreamError, StreamTimeout, Subscriber, wire
from realtime.config import PublisherConfig
from realtime.publisher import Publisher


@contextmanager
def foreign_sender():
    """A socket that publishes whatever the test wants, and its endpoint."""
    with zmq.Context() as context, context.socket(zmq.PUB) as sender:
        sender.linger = 0
        sender.sndhwm = 1000
        sender.bind("tcp://127.0.0.1:*")
        yield sender, sender.get_string(zmq.LAST_ENDPOINT)


def _connected(sender, subscriber):
    """Send until the subscriber hears it: subscriptions take a moment to travel."""
    for _ in range(500):
        sender.send(golden("eyes"))
        if subscriber._socket.poll(10):
            return
    pytest.fail("the subscriber did not connect")


def test_five_lines_receive_enhanced_eyes():
    with streaming() as publisher:
        seen = []
        for message in realtime.Subscriber(publisher.endpoint, timeout_s=5):
            seen.append((message.patches.shape, message.to_camera.shape))
            if len(seen) == 3:
                break

    assert seen == [((2, 4, 6, 3), (2, 2, 3))] * 3


def test_breaking_off_closes_the_connection():
    before = psutil.Process().num_fds()

    with streaming() as publisher:
        for _ in Subscriber(publisher.endpoint, timeout_s=5):
            break

    assert psutil.Process().num_fds() == before


def test_iterating_in_a_with_statement_keeps_it_open():
    with streaming() as publisher, Subscriber(publisher.endpoint, timeout_s=5) as subscriber:
        first = next(iter(subscriber))
        second = next(subscriber)

        assert second.sent_seq > first.sent_seq


def test_localhost_is_this_machine():
    with streaming() as publisher:
        url = publisher.endpoint.replace("127.0.0.1", "localhost")
        with Subscriber(url, timeout_s=5) as subscriber:
            assert subscriber.receive().seq == 41


@pytest.mark.parametrize("topic", ["eyes", "face", "status"])
def test_each_topic_brings_its_own_messages(topic):
    with streaming() as publisher, Subscriber(publisher.endpoint, topic, timeout_s=5) as subscriber:
        message = subscriber.receive()

    if topic == "status":
        assert message.values == {"fps": 100}
    else:
        assert message.topic == topic
        assert len(message.patches) == {"eyes": 2, "face": 1}[topic]


def test_after_a_pause_of_a_second_the_next_message_is_new():
    with process("publish", 30) as publisher:
        endpoint = publisher.stdout.readline().strip()
        with Subscriber(endpoint, timeout_s=10) as subscriber:
            ages_ms = []
            for _ in range(3):
                subscriber.receive()
                time.sleep(1)
                message = subscriber.receive()
                ages_ms.append((time.monotonic_ns() - message.sent_ns) / 1e6)

    assert np.median(ages_ms) < 50


def test_every_message_comes_in_order_when_all_are_wanted():
    with streaming() as publisher, Subscriber(publisher.endpoint, newest=False, timeout_s=5) as subscriber:
        numbers = [subscriber.receive().sent_seq for _ in range(50)]

        assert numbers == list(range(numbers[0], numbers[0] + 50))
        assert subscriber.lost == 0


def test_who_wants_all_and_takes_none_for_long_goes_on_and_knows_what_he_lost():
    with process("publish", 100) as publisher:
        endpoint = publisher.stdout.readline().strip()
        with Subscriber(endpoint, newest=False, timeout_s=10) as subscriber:
            numbers = [subscriber.receive().sent_seq]
            time.sleep(4)  # the publisher has cut him off by then
            while numbers[-1] < numbers[0] + 300:
                numbers.append(subscriber.receive().sent_seq)

            assert numbers == sorted(set(numbers))
            assert subscriber.lost == numbers[-1] - numbers[0] + 1 - len(numbers) > 0


def test_silence_after_a_good_message_is_not_blamed_on_an_older_one_that_was_rejected():
    with foreign_sender() as (sender, endpoint), Subscriber(endpoint, newest=False, timeout_s=0.5) as subscriber:
        _connected(sender, subscriber)
        sender.send(b"eyes\0nonsense")
        sender.send(golden("eyes"))

        with pytest.raises(StreamTimeout, match="got nothing") as silent:
            exhaust(subscriber)

    assert subscriber.rejected == 1
    assert silent.value.__cause__ is None


@pytest.mark.parametrize("timeout_s", [-1, float("nan")])
def test_time_that_nobody_can_wait_is_refused(timeout_s):
    with pytest.raises(ValueError, match="timeout_s: expected at least 0, or None"):
        Subscriber(timeout_s=timeout_s)


def test_messages_replaced_by_newer_ones_are_counted():
    with streaming() as publisher, Subscriber(publisher.endpoint, timeout_s=5) as subscriber:
        first = subscriber.receive().sent_seq
        time.sleep(0.3)
        second = subscriber.receive().sent_seq

        assert subscriber.lost == second - first - 1
        assert subscriber.lost > 1


def test_messages_that_did_not_arrive_are_counted():
    with foreign_sender() as (sender, endpoint), Subscriber(endpoint, newest=False, timeout_s=5) as subscriber:
        _connected(sender, subscriber)
        for number in (1000, 1001, 1004, 1005, 1015):
            sender.send(bent(golden("eyes"), stream="another", sent_seq=number))
        while subscriber.receive().sent_seq != 1015:
            pass

        assert subscriber.lost == 2 + 9


def test_a_restarted_publisher_is_another_stream_and_no_loss():
    with foreign_sender() as (sender, endpoint), Subscriber(endpoint, newest=False, timeout_s=5) as subscriber:
        _connected(sender, subscriber)
        sender.send(bent(golden("eyes"), stream="another", sent_seq=0))
        sender.send(bent(golden("eyes"), stream="another", sent_seq=1))
        streams = []
        while len(streams) < 2:
            message = subscriber.receive()
            if message.stream == "another":
                streams.append(message.sent_seq)

        assert streams == [0, 1]
        assert subscriber.lost == 0


def test_a_reader_follows_a_restarted_publisher():
    with Publisher(PublisherConfig(bind="tcp://127.0.0.1:*")) as first:
        endpoint = first.endpoint
    with Subscriber(endpoint, timeout_s=5) as subscriber:
        with streaming(endpoint):
            old = subscriber.receive().stream
        with streaming(endpoint):
            while (new := subscriber.receive().stream) == old:
                pass

    assert new != old


def test_silence_ends_with_a_time_out_that_says_what_to_look_at():
    subscriber = Subscriber("tcp://127.0.0.1:1", timeout_s=0.2)

    began = time.monotonic()
    with (
        subscriber,
        pytest.raises(StreamTimeout, match=r"expected a message on eyes within 0\.2 s, got nothing; is the"),
    ):
        subscriber.receive()

    assert 0.2 <= time.monotonic() - began < 2


@pytest.mark.parametrize(
    "url", ["", "5580", "tcp://", "tcp://127.0.0.1", "nonsense://127.0.0.1:1", "tcp://127.0.0.1:x"]
)
def test_an_endpoint_that_is_none_is_refused_in_one_line(url):
    with pytest.raises(StreamError, match=r"expected an endpoint such as tcp://127\.0\.0\.1:5580, got"):
        Subscriber(url).__enter__()


def test_an_unknown_topic_is_a_mistake():
    with pytest.raises(ValueError, match="expected one of eyes, face, status, got 'ears'"):
        Subscriber(topic="ears")


def test_a_closed_subscriber_says_how_to_open_it():
    subscriber = Subscriber(timeout_s=0.1)
    with subscriber:
        subscriber.close()
    subscriber.close()

    with pytest.raises(StreamError, match="use it in a with statement"):
        subscriber.receive()


def test_foreign_messages_are_skipped_counted_and_logged_once(caplog):
    with foreign_sender() as (sender, endpoint), Subscriber(endpoint, newest=False, timeout_s=5) as subscriber:
        _connected(sender, subscriber)
        subscriber.receive()
        for data in (b"eyes\0", b"eyes\0\2", b"eyes\0" + bytes(99), framed(b"eyes\0", b"\xdd\xff\xff\xff\xff" * 999)):
            sender.send(data)
        sender.send(bent(golden("eyes"), seq=77))
        while subscriber.receive().seq != 77:
            pass

        assert subscriber.rejected == 4
        assert len(caplog.records) == 1
        assert "a message was skipped" in caplog.text


def test_only_foreign_messages_end_with_a_time_out_that_says_why():
    with foreign_sender() as (sender, endpoint), Subscriber(endpoint, newest=False, timeout_s=0.5) as subscriber:
        _connected(sender, subscriber)
        for _ in range(3):
            sender.send(b"eyes\0\2")

        with pytest.raises(StreamTimeout, match="3 rejected, the last because wire version: expected 1, got 2"):
            exhaust(subscriber)


@pytest.mark.parametrize("newest", [True, False])
def test_a_flood_of_foreign_messages_does_not_hold_the_reader_beyond_its_time(newest):
    with foreign_sender() as (sender, endpoint), Subscriber(endpoint, newest=newest, timeout_s=0.5) as subscriber:
        _connected(sender, subscriber)
        stop = threading.Event()

        def flood():
            while not stop.is_set():
                sender.send(b"eyes\0\1 junk")

        thread = threading.Thread(target=flood)
        thread.start()
        try:
            with pytest.raises(StreamTimeout, match="rejected"):
                exhaust(subscriber)
            began = time.monotonic()
            with pytest.raises(StreamTimeout, match="rejected"):
                subscriber.receive()
            took_s = time.monotonic() - began
        finally:
            stop.set()
            thread.join()

    assert took_s < 2


@pytest.mark.parametrize(
    "nonsense", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" + bytes(8) + b"\x7f\x03" + b"\xff" * 99, b""]
)
def test_a_stranger_who_had_the_port_does_not_keep_the_reader_from_the_publisher(nonsense):
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        Subscriber(f"tcp://127.0.0.1:{server.getsockname()[1]}", timeout_s=10) as subscriber,
    ):
        stranger, _ = server.accept()
        with stranger:
            stranger.sendall(nonsense)
            time.sleep(0.2)
        server.close()
        with streaming(subscriber._url):
            assert subscriber.receive().seq == 41


def test_messages_too_long_never_arrive_and_the_stream_goes_on():
    with foreign_sender() as (sender, endpoint), Subscriber(endpoint, newest=False, timeout_s=0.2) as subscriber:
        _connected(sender, subscriber)
        sender.send(b"eyes\0" + bytes(wire.MAX_MESSAGE_BYTES))
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            sender.send(bent(golden("eyes"), seq=77))
            with suppress(StreamTimeout):
                if subscriber.receive().seq == 77:
                    break
        else:
            pytest.fail("nothing came after the long message")

        assert subscriber.rejected == 0


def test_a_foreign_sender_does_not_balloon_a_reader_who_wants_the_newest():
    junk = b"eyes\0" + bytes(wire.MAX_MESSAGE_BYTES - 5)
    with foreign_sender() as (sender, endpoint), Subscriber(endpoint, timeout_s=5) as subscriber:
        sender.sndhwm = 2
        _connected(sender, subscriber)
        before = psutil.Process().memory_info().rss
        for _ in range(60):
            sender.send(junk)
            time.sleep(0.01)
        grown = psutil.Process().memory_info().rss - before

    # The sender, in this process too, holds a few of them; all sixty would be 500 MB.
    assert grown < 150e6


@pytest.mark.skipif(os.name != "posix", reason="SIGINT is for POSIX")
def test_ctrl_c_ends_a_waiting_reader_at_once():
    code = (
        "import realtime\n"
        "subscriber = realtime.Subscriber('tcp://127.0.0.1:1')\n"
        "print('ready', flush=True)\n"
        "for message in subscriber: pass\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as reader:
        reader.stdout.readline()
        time.sleep(0.3)
        reader.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, errors = reader.communicate(timeout=10)

    assert time.monotonic() - began < 2
    assert "KeyboardInterrupt" in errors
