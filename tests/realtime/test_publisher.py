import logging
import os
import socket
import sys
import time
from contextlib import ExitStack, contextmanager, suppress

import numpy as np
import psutil
import pytest
import zmq
from streams import allow_open_files, process, streaming
from wire_samples import enhanced

from realtime import StreamError, Subscriber, wire
from realtime.config import PublisherConfig
from realtime.keys import load_client_keys, make_client_keys, make_server_keys
from realtime.publisher import Publisher, is_loopback

if sys.platform == "linux":
    from realtime.connections import MOST_SUBSCRIBED, PATIENCE_S

_TRIES = 3


only_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what a peer has yet to take")


@pytest.fixture(params=[False, True], ids=["without keys", "with keys"])
def keys(request, tmp_path):
    """The publisher's folder of keys and a friend's key file; or None twice."""
    if not request.param:
        return None, None
    make_server_keys(tmp_path / "keys")
    return tmp_path / "keys", make_client_keys(tmp_path / "keys", "friend", tmp_path / "friend.json")


def greeting(secret):
    """What either side says first, of ZMTP 3: signature, version, mechanism, and whether it is the server."""
    mechanism = b"NULL" if secret is None else b"CURVE"
    return (
        b"\xff" + bytes(8) + b"\x7f\x03\x00" + mechanism.ljust(20, b"\0") + (secret is not None).to_bytes() + bytes(31)
    )


def first_words(secret):
    """What a friend says before he has heard more than a greeting: his own, then HELLO; READY where nobody has keys."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with Subscriber(endpoint, keys=secret), server.accept()[0] as connection, connection.makefile("rb") as words:
            connection.settimeout(5)
            connection.sendall(greeting(secret))
            said = words.read(64 + 2)
            return said[:64], said + words.read(said[-1])


def _address(endpoint):
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    return host, int(port)


def test_port_in_use_says_what_to_do():
    with Publisher(PublisherConfig(bind="tcp://127.0.0.1:*")) as first:
        second = Publisher(PublisherConfig(bind=first.endpoint))

        with pytest.raises(
            StreamError, match=r"expected a free port, got one in use; .* choose another port"
        ) as caught:
            second.__enter__()

    assert "\n" not in str(caught.value)


def test_port_is_free_again_after_closing():
    with Publisher(PublisherConfig(bind="tcp://127.0.0.1:*")) as first:
        endpoint = first.endpoint

    with streaming(endpoint), Subscriber(endpoint, timeout_s=5) as subscriber:
        assert subscriber.receive().seq == 41


@pytest.mark.parametrize(
    "bind", ["tcp://0.0.0.0:*", "tcp://*:*", "tcp://192.0.2.7:5580", "tcp://eth0:1", "tcp://[::]:1"]
)
def test_other_hosts_need_keys_or_consent(bind):
    with pytest.raises(
        StreamError, match=r"expected keys .* `catchlight keys`.* --i-consent-to-sending-my-face-in-clear"
    ):
        Publisher(PublisherConfig(bind=bind)).__enter__()


def test_consent_opens_the_stream_to_other_hosts_and_warns(caplog):
    with streaming("tcp://0.0.0.0:*", consent=True) as publisher:
        port = publisher.endpoint.rpartition(":")[2]
        with Subscriber(f"tcp://127.0.0.1:{port}", timeout_s=5) as subscriber:
            assert subscriber.receive().seq == 41

    assert "unencrypted" in caplog.text


@pytest.mark.parametrize(
    "bind",
    [
        "",
        "5580",
        "tcp://127.0.0.1",
        "tcp://:5580",
        "tcp://127.0.0.1:99999",
        "tcp://127.0.0.1:http",
        "udp://127.0.0.1:1",
        "ipc://",
        "inproc://x",
    ],
)
def test_malformed_endpoint_says_what_one_looks_like(bind):
    with pytest.raises(StreamError, match=r"expected tcp://ADDRESS:PORT or ipc://PATH, such as tcp://127.0.0.1:5580"):
        Publisher(PublisherConfig(bind=bind)).__enter__()


def test_an_address_of_another_machine_is_refused_by_name():
    config = PublisherConfig(bind="tcp://192.0.2.7:5580", i_consent_to_sending_my_face_in_clear=True)

    with pytest.raises(StreamError, match=r"192\.0\.2\.7:5580: expected an address of this machine, got"):
        Publisher(config).__enter__()


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("[::1]", True),
        ("localhost", True),
        ("*", False),
        ("0.0.0.0", False),
        ("[::]", False),
        ("192.168.1.2", False),
        ("lo", False),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
    ],
)
def test_only_loopback_counts_as_loopback(host, loopback):
    assert is_loopback(host) is loopback


@pytest.mark.skipif(os.name != "posix", reason="ipc is for POSIX")
def test_ipc_carries_the_stream(tmp_path):
    with streaming(f"ipc://{tmp_path}/s") as publisher, Subscriber(publisher.endpoint, timeout_s=5) as subscriber:
        assert subscriber.receive().seq == 41


@pytest.mark.skipif(os.name != "posix", reason="ipc is for POSIX")
@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_an_ipc_path_where_something_lies_is_refused_and_it_stays(kind, tmp_path):
    path, precious = tmp_path / "eyes", tmp_path / "precious.txt"
    precious.write_text("precious")
    {"file": lambda: precious.rename(path), "folder": path.mkdir, "link": lambda: path.symlink_to(precious)}[kind]()
    before = sorted(os.lstat(found).st_ino for found in tmp_path.iterdir())

    with pytest.raises(StreamError, match=r"eyes: expected nothing there, got .*; choose another path"):
        Publisher(PublisherConfig(bind=f"ipc://{path}")).__enter__()

    assert sorted(os.lstat(found).st_ino for found in tmp_path.iterdir()) == before


@pytest.mark.skipif(os.name != "posix", reason="ipc is for POSIX")
def test_an_ipc_endpoint_in_use_is_not_stolen(tmp_path):
    config = PublisherConfig(bind=f"ipc://{tmp_path}/eyes")
    with streaming(config.bind) as publisher:
        with pytest.raises(StreamError, match=r"expected a free path, got one in use; stop the other program"):
            Publisher(config).__enter__()

        with Subscriber(config.bind, timeout_s=5) as subscriber:
            assert subscriber.receive().stream == publisher.stream


@pytest.mark.skipif(os.name != "posix", reason="ipc is for POSIX")
def test_an_ipc_path_whose_owner_does_not_answer_is_in_use(tmp_path):
    with socket.socket(socket.AF_UNIX) as stopped, ExitStack() as waiting:
        stopped.bind(f"{tmp_path}/eyes")
        stopped.listen(0)
        for _ in range(3):  # more than its queue holds
            client = waiting.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            with suppress(BlockingIOError):
                client.connect(f"{tmp_path}/eyes")

        with pytest.raises(StreamError, match="in use"):
            Publisher(PublisherConfig(bind=f"ipc://{tmp_path}/eyes")).__enter__()


@pytest.mark.skipif(os.name != "posix", reason="ipc is for POSIX")
def test_a_socket_that_a_killed_publisher_left_is_replaced(tmp_path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(f"{tmp_path}/eyes")
        left.listen()

    with streaming(f"ipc://{tmp_path}/eyes") as publisher, Subscriber(publisher.endpoint, timeout_s=5) as subscriber:
        assert subscriber.receive().seq == 41


def test_old_libzmq_is_refused(monkeypatch):
    monkeypatch.setattr(zmq, "zmq_version_info", lambda: (4, 3, 2))

    for end in (Publisher(PublisherConfig(bind="tcp://127.0.0.1:*")), Subscriber("tcp://127.0.0.1:5580")):
        with pytest.raises(StreamError, match=r"expected at least 4\.3\.3"):
            end.__enter__()


def test_each_message_carries_its_moment_of_sending_and_its_number():
    with Publisher(PublisherConfig(bind="tcp://127.0.0.1:*")) as publisher:
        eyes = wire.encode(enhanced(), stream=publisher.stream)
        status = wire.encode_status({}, stream=publisher.stream)
        before_ns = time.monotonic_ns()
        sent_ns = [publisher.send(message) for message in (eyes, status)]
        again = wire.encode(enhanced(), stream=publisher.stream)
        sent_ns.append(publisher.send(again))
        after_ns = time.monotonic_ns()

    messages = [wire.decode(data) for data in (eyes, status, again)]
    assert [message.sent_seq for message in messages] == [0, 0, 1]
    assert [message.sent_ns for message in messages] == sent_ns
    assert before_ns <= sent_ns[0] <= sent_ns[1] <= sent_ns[2] <= after_ns


def test_streams_of_two_publishers_have_different_names():
    config = PublisherConfig(bind="tcp://127.0.0.1:*")

    assert Publisher(config).stream != Publisher(config).stream


def test_a_burst_of_every_topic_reaches_whoever_wants_all():
    frame = enhanced(height=96, width=128)
    with (
        Publisher(PublisherConfig(bind="tcp://127.0.0.1:*")) as publisher,
        zmq.Context() as context,
        context.socket(zmq.SUB) as subscriber,
    ):
        subscriber.subscribe(b"")
        subscriber.connect(publisher.endpoint)
        time.sleep(0.5)
        for _ in range(30):
            publisher.send(wire.encode(frame, stream=publisher.stream))
            publisher.send(wire.encode(frame, topic="face", stream=publisher.stream))
            publisher.send(wire.encode_status({}, stream=publisher.stream))
            time.sleep(0.03)
        numbers = {topic: [] for topic in (b"eyes", b"face", b"status")}
        while subscriber.poll(500):
            data = subscriber.recv()
            numbers[data.partition(b"\0")[0]].append(wire.decode(data).sent_seq)

    assert list(numbers.values()) == [list(range(30))] * 3


def test_garbage_on_the_port_disturbs_nobody(keys):
    with streaming(keys=keys[0]) as publisher, Subscriber(publisher.endpoint, timeout_s=5, keys=keys[1]) as subscriber:
        subscriber.receive()
        random = np.random.default_rng(0)
        for garbage in (
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"SSH-2.0-scan\r\n",
            b"\xff" + bytes(8) + b"\x7f" + b"\x03" + bytes(53),
            b"\xff" + bytes(8) + b"\x7f\x03\x00CURVE" + bytes(47) + b"\x02" + b"\xff" * 8 + bytes(100),
            *(random.bytes(2000) for _ in range(20)),
            *(greeting(keys[1]) + random.bytes(2000) for _ in range(20)),
        ):
            with socket.create_connection(_address(publisher.endpoint)) as scanner, suppress(ConnectionError):
                scanner.sendall(garbage)
        seen = subscriber.receive().sent_seq

        assert subscriber.receive().sent_seq > seen
        assert subscriber.rejected == 0


def test_a_stranger_who_claims_a_long_message_costs_no_memory(keys):
    long_command = b"\x06" + (4 << 30).to_bytes(8, "big")
    with streaming(keys=keys[0]) as publisher, Subscriber(publisher.endpoint, timeout_s=5, keys=keys[1]) as friend:
        friend.receive()
        before = psutil.Process().memory_info().rss
        with socket.create_connection(_address(publisher.endpoint)) as stranger, suppress(ConnectionError):
            stranger.sendall(greeting(keys[1]) + long_command)
            for _ in range(100):
                stranger.sendall(bytes(1 << 20))
        grown = psutil.Process().memory_info().rss - before
        seen = friend.receive().sent_seq

        assert friend.receive().sent_seq > seen
    assert grown < 20 << 20


@contextmanager
def _subscriber(context, endpoint, secret):
    """A SUB socket as any library makes one, connected."""
    with context.socket(zmq.SUB) as subscriber:
        subscriber.linger = 0
        if secret is not None:
            keys = load_client_keys(secret)
            subscriber.curve_serverkey, subscriber.curve_publickey = keys.server, keys.public
            subscriber.curve_secretkey = keys.secret
        subscriber.connect(endpoint)
        yield subscriber


@only_linux
@pytest.mark.parametrize("size", [30, 400, 4000])
def test_subscriptions_without_number_cost_the_publisher_no_memory_and_the_others_nothing(size, keys):
    with process("publish", 30, "tcp://127.0.0.1:*", *filter(None, keys[:1])) as publisher:
        endpoint = publisher.stdout.readline().strip()
        with (
            Subscriber(endpoint, timeout_s=20, keys=keys[1]) as friend,
            zmq.Context() as context,
            _subscriber(context, endpoint, keys[1]) as greedy,
        ):
            friend.receive()
            before_mb = _rss_mb(publisher)
            for number in range(1_500_000 // size):  # each byte would cost the publisher some fifty
                greedy.subscribe(os.urandom(size))
                if number % 20 == 0:
                    time.sleep(0.001)
            time.sleep(1)
            grown_mb = _rss_mb(publisher) - before_mb
            seen = friend.receive().sent_seq

            assert friend.receive().sent_seq > seen
    assert grown_mb < 25


@only_linux
def test_who_turns_from_topic_to_topic_for_long_is_served_all_the_time(keys):
    with (
        streaming(keys=keys[0]) as publisher,
        zmq.Context() as context,
        _subscriber(context, publisher.endpoint, keys[1]) as restless,
    ):
        for _ in range(MOST_SUBSCRIBED // 5):
            restless.subscribe(b"eyes\0")
            assert restless.poll(10_000)
            restless.recv()
            restless.unsubscribe(b"eyes\0")
        restless.subscribe(b"eyes\0")
        assert restless.poll(10_000)


@pytest.mark.parametrize("says", ["nothing", "greeting", "hello"])
@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_many_who_stop_on_the_way_in_disturb_nobody(count, says, keys):
    allow_open_files(3 * count + 200)
    words = dict(zip(("greeting", "hello"), first_words(keys[1]), strict=True)).get(says, b"")
    with streaming(keys=keys[0]) as publisher, Subscriber(publisher.endpoint, timeout_s=5, keys=keys[1]) as subscriber:
        subscriber.receive()
        strangers = [socket.create_connection(_address(publisher.endpoint)) for _ in range(count)]
        try:
            for stranger in strangers:
                stranger.sendall(words)
            time.sleep(0.5)
            sent_seq = subscriber.receive().sent_seq
            with Subscriber(publisher.endpoint, timeout_s=5, keys=keys[1]) as late:
                assert late.receive().sent_seq >= sent_seq
        finally:
            for stranger in strangers:
                stranger.close()


@pytest.mark.slow
def test_who_stops_on_the_way_in_is_hung_up(keys):
    greeted, hello = first_words(keys[1])
    on_the_way = (
        [b"", greeted] if keys[1] is None else [b"", greeted, hello]
    )  # READY alone lets in where nobody has keys
    with streaming(keys=keys[0]) as publisher, ExitStack() as stack:
        strangers = [stack.enter_context(socket.create_connection(_address(publisher.endpoint))) for _ in on_the_way]
        for stranger, words in zip(strangers, on_the_way, strict=True):
            stranger.settimeout(10)
            stranger.sendall(words)
        heard = [b"".join(iter(lambda: stranger.recv(1000), b"")) for stranger in strangers]  # noqa: B023

    assert ["WELCOME" if b"WELCOME" in words else "" for words in heard] == ["", "", "WELCOME"][: len(on_the_way)]


@pytest.mark.skipif(os.name != "posix", reason="SIGSTOP is for POSIX")
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("stalled", "seconds", "slack_ms"),
    [
        (10, 4, 50),  # short, and among other tests: one late frame is the p99
        pytest.param(1, 15, 0, marks=pytest.mark.quiet),
        pytest.param(10, 15, 0, marks=pytest.mark.quiet),
        pytest.param(50, 60, 0, marks=pytest.mark.quiet),
    ],
)
def test_stalled_subscribers_cost_the_publisher_no_memory_and_the_healthy_no_time(stalled, seconds, slack_ms):
    with process("publish", 30) as publisher:
        endpoint = publisher.stdout.readline().strip()
        with process("listen", endpoint, 1) as healthy:
            assert healthy.stdout.readline() == "ready\n"
            # A busy machine is slow by itself: what a stall costs is there in every try.
            for _ in range(_TRIES):
                before_ms = _read_for(healthy, seconds)
                with process("listen", endpoint, stalled) as sleeper:
                    assert sleeper.stdout.readline() == "ready\n"
                    rss_before = _rss_mb(publisher)
                    psutil.Process(sleeper.pid).suspend()
                    _read_for(healthy, 0.5)
                    during_ms = _read_for(healthy, seconds)
                    grown_mb = _rss_mb(publisher) - rss_before
                before, during = (np.percentile(values, [50, 99]).round(2) for values in (before_ms, during_ms))
                logging.info("%d stalled: publisher %+.1f MB; p50, p99 %s -> %s ms", stalled, grown_mb, before, during)
                assert grown_mb < 20
                assert len(during_ms) > 0.5 * len(before_ms)
                if during[1] < 1.2 * before[1] + slack_ms:
                    break

    assert during[1] < 1.2 * before[1] + slack_ms


@pytest.mark.slow
@only_linux
@pytest.mark.parametrize(
    ("bind", "keyed"),
    [
        ("tcp://127.0.0.1:*", False),
        ("tcp://0.0.0.0:*", True),
        ("ipc://{folder}/eyes", False),
    ],
    ids=["loopback", "other hosts with keys", "ipc"],
)
def test_subscribers_that_stall_one_after_the_other_cost_little_memory_and_come_back(bind, keyed, tmp_path):
    count, fps, server, client = 30, 30, [], []  # were none of them hung up, they would cost 38 MB or so
    if keyed:
        make_server_keys(tmp_path / "keys")
        server, client = [tmp_path / "keys"], [make_client_keys(tmp_path / "keys", "crowd", tmp_path / "crowd.json")]
    with process("publish", fps, bind.format(folder=tmp_path), *server) as publisher:
        endpoint = publisher.stdout.readline().strip().replace("0.0.0.0", "127.0.0.1")
        with process("crowd", endpoint, count, *client) as crowd:
            subscribers = [psutil.Process(int(number)) for number in crowd.stdout.readline().split()]
            # Messages encrypted for each take 12 MB and give them back, where nobody stalls, too: peaks are compared.
            before_mb, during_mb = [], []
            for _ in range(3 * fps):
                time.sleep(1 / fps)
                before_mb.append(_rss_mb(publisher))
            for subscriber in subscribers:
                subscriber.suspend()  # each holds other messages than the one before
                time.sleep(5 / fps)
                during_mb.append(_rss_mb(publisher))
            left = _connections(publisher, 0)
            for subscriber in subscribers:
                subscriber.resume()
            came_back = _connections(publisher, count)
    grown_mb = max(during_mb) - max(before_mb)
    logging.info("%d stalled, one after the other: publisher %+.1f MB", count, grown_mb)

    assert left == 0
    assert came_back == count
    assert grown_mb < 20


@only_linux
@pytest.mark.parametrize("bind", ["tcp://127.0.0.1:*", "ipc://{folder}/eyes"], ids=["tcp", "ipc"])
def test_a_subscriber_that_was_hung_up_while_it_was_stopped_goes_on(bind, tmp_path):
    with process("publish", 100, bind.format(folder=tmp_path)) as publisher:
        endpoint = publisher.stdout.readline().strip()
        with process("listen", endpoint, 1) as listener:
            assert listener.stdout.readline() == "ready\n"
            psutil.Process(listener.pid).suspend()
            assert _connections(publisher, 0) == 0
            psutil.Process(listener.pid).resume()
            ages_ms = [float(listener.stdout.readline()) for _ in range(50)]

    assert max(ages_ms[25:]) < 1000  # what the kernel held from before comes first


@only_linux
def test_who_takes_everything_is_left_alone_though_as_much_waits_at_every_look(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("realtime.connections._waiting", lambda number: 8192)  # as where acknowledgements come late
    with streaming(fps=30) as publisher, Subscriber(publisher.endpoint, timeout_s=5) as subscriber:
        end = time.monotonic() + 2.5 * PATIENCE_S
        while time.monotonic() < end:
            subscriber.receive()

    assert "hung up" not in caplog.text


@only_linux
@pytest.mark.parametrize("bind", ["tcp://127.0.0.1:*", "ipc://{folder}/eyes"], ids=["tcp", "ipc"])
def test_a_slow_reader_goes_on_and_one_who_takes_nothing_is_hung_up(bind, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    frame = enhanced(height=96, width=128)
    read = []
    with (
        Publisher(PublisherConfig(bind=bind.format(folder=tmp_path))) as publisher,
        zmq.Context() as context,
        context.socket(zmq.SUB) as reader,
    ):
        reader.rcvhwm = 1
        reader.rcvbuf = 4096
        reader.subscribe(b"")
        reader.connect(publisher.endpoint)
        for number in range(120):
            publisher.send(wire.encode(frame, stream=publisher.stream))
            time.sleep(1 / 30)
            if number % 8 == 0 and reader.poll(0):
                read.append(wire.decode(reader.recv()).sent_seq)
        caplog.clear()
        for _ in range(300):
            publisher.send(wire.encode(frame, stream=publisher.stream))
            time.sleep(1 / 30)
            if "hung up" in caplog.text:
                break

    assert len(read) > 8
    assert read == sorted(set(read))
    assert "hung up" in caplog.text


def _connections(publisher, expected):
    """How many subscribers the publisher has, once there are so many; or after fifteen seconds."""
    end = time.monotonic() + 15
    while (count := _established(publisher)) != expected and time.monotonic() < end:
        time.sleep(0.1)
    return count


def _established(publisher):
    connections = psutil.Process(publisher.pid).net_connections("all")
    over_ipc = sum(str(connection.laddr).endswith("/eyes") for connection in connections)  # and the one that listens
    return max(over_ipc - 1, sum(connection.status == psutil.CONN_ESTABLISHED for connection in connections))


def _rss_mb(publisher):
    return psutil.Process(publisher.pid).memory_info().rss / 1e6


def _read_for(listener, seconds):
    """The listener's latencies, in milliseconds, over so many seconds from now."""
    end = time.monotonic() + seconds
    values = []
    while time.monotonic() < end:
        values.append(float(listener.stdout.readline()))
    return values
