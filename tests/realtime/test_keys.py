import json
import os
import stat
import time
from contextlib import ExitStack

import pytest
import zmq
from streams import allow_open_files, exhaust, streaming

from realtime import StreamError, StreamTimeout, Subscriber
from realtime.config import PublisherConfig
from realtime.keys import allowed_clients, load_client_keys, load_server_keys, make_client_keys, make_server_keys
from realtime.publisher import Publisher

posix = pytest.mark.skipif(os.name != "posix", reason="file modes are for POSIX")


@pytest.fixture
def folder(tmp_path):
    make_server_keys(tmp_path / "keys")
    return tmp_path / "keys"


@pytest.fixture
def alice(folder, tmp_path):
    return make_client_keys(folder, "alice", tmp_path / "alice.json")


@pytest.fixture
def bob(folder, tmp_path):
    return make_client_keys(folder, "bob", tmp_path / "bob.json")


def test_made_keys_fit_together(folder, alice):
    server, client = load_server_keys(folder), load_client_keys(alice)

    assert client.server == server.public
    assert zmq.curve_public(client.secret) == client.public
    assert zmq.curve_public(server.secret) == server.public
    assert allowed_clients(folder) == {client.public: "alice"}


@posix
def test_secrets_are_for_their_owner_alone(folder, alice):
    for path in (folder / "server.json", alice):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@posix
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o777])
def test_secrets_that_others_can_use_are_refused(folder, alice, mode):
    for path, load in ((folder / "server.json", lambda path: load_server_keys(path.parent)), (alice, load_client_keys)):
        path.chmod(mode)
        with pytest.raises(StreamError, match=f"expected mode 600, got {mode:o}, .* chmod 600"):
            load(path)


def test_secrets_do_not_show_in_logs(folder, alice):
    for keys in (load_server_keys(folder), load_client_keys(alice)):
        assert keys.secret.decode() not in repr(keys)


def test_keys_are_never_replaced(folder, alice, tmp_path):
    with pytest.raises(StreamError, match="expected no file, got one"):
        make_server_keys(folder)
    with pytest.raises(StreamError, match="expected a new client"):
        make_client_keys(folder, "alice", tmp_path / "other.json")
    with pytest.raises(StreamError, match="expected no file, got one"):
        make_client_keys(folder, "carol", alice)

    assert list(allowed_clients(folder).values()) == ["alice"]


def test_a_full_disk_leaves_no_half_of_a_key_behind(tmp_path, disk_of):
    with (
        disk_of(100),
        pytest.raises(StreamError, match=r"server\.json: expected a file that can be written, got: File"),
    ):
        make_server_keys(tmp_path / "keys")
    assert not list((tmp_path / "keys").glob("*.json"))

    make_server_keys(tmp_path / "keys")
    with disk_of(100), pytest.raises(StreamError, match=r"alice\.json: expected a file that can be written"):
        make_client_keys(tmp_path / "keys", "alice", tmp_path / "alice.json")
    assert not (tmp_path / "alice.json").exists()


def test_a_client_that_cannot_be_let_in_gets_no_key(folder, tmp_path):
    (folder / "clients").rmdir()

    with pytest.raises(StreamError, match=r"alice\.pub: expected a file that can be written"):
        make_client_keys(folder, "alice", tmp_path / "alice.json")

    assert not (tmp_path / "alice.json").exists()


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b", "x" * 65])
def test_a_name_that_is_no_file_name_is_refused(folder, tmp_path, name):
    with pytest.raises(ValueError, match="client's name: expected"):
        make_client_keys(folder, name, tmp_path / "x.json")


def test_missing_keys_say_how_to_get_them(tmp_path):
    with pytest.raises(
        StreamError, match=r"server\.json: expected a key file, got: No such file.* run `catchlight keys`"
    ):
        load_server_keys(tmp_path)
    with pytest.raises(StreamError, match=r"expected a key file, got: No such file.* ask the publisher's owner"):
        load_client_keys(tmp_path / "alice.json")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"server": 1, "public": 2, "secret": 3}', "\xff", "[" * 5000]
    + [
        json.dumps(dict.fromkeys(("server", "public", "secret"), key))
        for key in ("x" * 39, "é" * 40, " " * 40, "#" * 40)
    ],
)
def test_damaged_keys_are_refused(tmp_path, text):
    path = tmp_path / "alice.json"
    path.write_text(text, encoding="latin-1")
    path.chmod(0o600)

    with pytest.raises(StreamError, match=r"alice\.json: expected .*, got"):
        load_client_keys(path)


def test_files_that_are_no_key_let_nobody_in(folder, alice):
    (folder / "clients" / "note.txt").write_text("x" * 40)
    (folder / "clients" / "short.pub").write_text("x" * 39)
    (folder / "clients" / "empty.pub").write_text("")

    assert list(allowed_clients(folder).values()) == ["alice"]


def test_a_listed_client_listens_also_on_every_interface(folder, alice):
    with streaming("tcp://0.0.0.0:*", keys=folder) as publisher:
        port = publisher.endpoint.rpartition(":")[2]
        with Subscriber(f"tcp://127.0.0.1:{port}", timeout_s=5, keys=alice) as subscriber:
            assert subscriber.receive().seq == 41


def test_no_stranger_listens(folder, alice, tmp_path):
    make_server_keys(tmp_path / "other")
    listed_elsewhere = make_client_keys(tmp_path / "other", "mallory", tmp_path / "mallory.json")
    secrets = json.loads(listed_elsewhere.read_text())
    secrets["server"] = load_server_keys(folder).public.decode()
    own_pair = tmp_path / "own-pair.json"
    own_pair.write_text(json.dumps(secrets))
    own_pair.chmod(0o600)
    stolen = json.loads(alice.read_text()) | {"secret": secrets["secret"]}
    public_only = tmp_path / "public-only.json"
    public_only.write_text(json.dumps(stolen))
    public_only.chmod(0o600)

    with streaming(keys=folder) as publisher, Subscriber(publisher.endpoint, timeout_s=5, keys=alice) as friend:
        for keys in (None, listed_elsewhere, own_pair, public_only):
            with (
                Subscriber(publisher.endpoint, timeout_s=0.6, keys=keys) as stranger,
                pytest.raises(StreamTimeout, match="are its address and keys right"),
            ):
                stranger.receive()
            assert friend.receive().seq == 41
        assert publisher.refused >= 1


def test_a_client_is_let_in_without_a_restart(folder, tmp_path):
    with streaming(keys=folder) as publisher:
        late = make_client_keys(folder, "late", tmp_path / "late.json")
        with Subscriber(publisher.endpoint, timeout_s=5, keys=late) as subscriber:
            assert subscriber.receive().seq == 41


@pytest.mark.parametrize("bind", ["tcp://127.0.0.1:*", pytest.param("ipc://{folder}/eyes", marks=posix)])
def test_a_removed_client_hears_nothing_more_and_the_others_go_on(folder, alice, bob, bind, tmp_path):
    with (
        streaming(bind.format(folder=tmp_path), keys=folder) as publisher,
        Subscriber(publisher.endpoint, timeout_s=5, keys=alice) as friend,
        Subscriber(publisher.endpoint, timeout_s=1, keys=bob) as removed,
    ):
        friend.receive()
        removed.receive()
        (folder / "clients" / "bob.pub").unlink()

        with pytest.raises(StreamTimeout):
            exhaust(removed)
        assert friend.receive().age_ms() > 0
        sent_seq = friend.receive().sent_seq
        assert friend.receive().sent_seq > sent_seq


def test_a_key_replaced_in_its_file_counts_as_removed(folder, alice, bob):
    with streaming(keys=folder) as publisher, Subscriber(publisher.endpoint, timeout_s=1, keys=bob) as removed:
        removed.receive()
        (folder / "clients" / "bob.pub").write_bytes((folder / "clients" / "alice.pub").read_bytes())

        with pytest.raises(StreamTimeout):
            exhaust(removed)


def test_a_list_that_cannot_be_read_lets_nobody_in(folder, alice, error_logs):
    (folder / "clients" / "alice.pub").unlink()
    (folder / "clients").rmdir()

    with (
        streaming(keys=folder) as publisher,
        Subscriber(publisher.endpoint, timeout_s=1, keys=alice) as subscriber,
        pytest.raises(StreamTimeout),
    ):
        subscriber.receive()

    assert len(error_logs) == 1
    assert "nobody is let in" in error_logs[0]


def test_publisher_without_server_keys_says_how_to_make_them(tmp_path):
    with pytest.raises(StreamError, match="run `catchlight keys`"):
        Publisher(PublisherConfig(bind="tcp://127.0.0.1:*", keys=tmp_path)).__enter__()


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_many_strangers_at_once_disturb_no_friend(folder, alice, count):
    allow_open_files(4 * count + 200)
    with streaming(keys=folder) as publisher, Subscriber(publisher.endpoint, timeout_s=5, keys=alice) as friend:
        friend.receive()
        with zmq.Context() as context, ExitStack() as strangers:
            context.max_sockets = 2 * count
            for _ in range(count):
                stranger = strangers.enter_context(context.socket(zmq.SUB))
                stranger.linger = 0
                stranger.curve_serverkey = load_server_keys(folder).public
                stranger.curve_publickey, stranger.curve_secretkey = zmq.curve_keypair()
                stranger.subscribe(b"")
                stranger.connect(publisher.endpoint)
            deadline = time.monotonic() + 60
            while publisher.refused < count and time.monotonic() < deadline:
                sent_seq = friend.receive().sent_seq
                assert friend.receive().sent_seq > sent_seq
        assert publisher.refused >= count
