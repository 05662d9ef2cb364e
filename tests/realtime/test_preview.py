import base64
import hashlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import tyro
from streams import streaming
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from wire_samples import enhanced

import realtime
from realtime import Status, StreamError, wire
from realtime.__main__ import main
from realtime.commands import Run
from realtime.config import PreviewConfig, PublisherConfig
from realtime.preview import MAX_STREAMS, Preview, beside, names, new_key
from realtime.publisher import Publisher

NOBODY = "tcp://127.0.0.1:1"


@contextmanager
def previewing(url=NOBODY, *, key=""):
    with Preview(PreviewConfig(connect=url, port=0), key=key) as preview:
        yield preview


def get(preview, path="/", **headers):
    """Gives status, headers and body."""
    connection = http.client.HTTPConnection(urlsplit(preview.url).netloc, timeout=5)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def page_of(preview, topic="eyes", *, origin=None, name="127.0.0.1"):
    """A WebSocket as the page opens it."""
    url = urlsplit(preview.url)
    address = f"{name}:{url.port}"
    return connect(
        f"ws://{address}/stream/{topic}{'?' if url.query else ''}{url.query}",
        origin=origin or f"http://{address}",
        compression=None,
        proxy=None,
        max_size=wire.MAX_MESSAGE_BYTES,
    )


def ask(page):
    page.send("next")
    return page.recv(timeout=10)


def test_page_may_run_its_own_scripts_and_reach_its_own_address_only():
    with previewing() as preview:
        status, headers, body = get(preview)

    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    scripts = re.findall(rb"<script[^>]*>(.*?)</script>", body, re.DOTALL)
    allowed = [f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'" for script in scripts]
    assert policy["script-src"] == " ".join(allowed)
    assert (policy["default-src"], policy["connect-src"], policy["frame-ancestors"]) == ("'none'", "'self'", "'none'")


def test_page_needs_no_internet():
    page = (Path(realtime.__file__).parent / "preview.html").read_text(encoding="utf-8")

    assert not re.findall(r"@import|<link(?! rel=\"icon\" href=\"data:)|<script [^>]*src=|<img", page)
    assert set(re.findall(r"\w+://[\w.${]+", page)) == {"http://www.w3.org", "ws://${location.host"}


def test_unknown_path():
    with previewing() as preview:
        assert get(preview, "/../realtime/config.py")[0] == 404
        assert get(preview, "/stream/nose")[0] == 404


@pytest.mark.parametrize("path", ["/", "/metrics", "/stream/eyes"])
@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "127.0.0.1.evil.example", "127.0.0.1"])
def test_other_names_for_this_machine_get_nothing(path, host):
    with previewing() as preview:
        status, _, body = get(preview, path, Host=host)

    assert status == 403
    assert body.startswith(b"Host: expected 127.0.0.1:")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://{host}", "file://"])
def test_other_pages_get_no_stream(origin):
    with previewing() as preview:
        origin = origin.format(host=urlsplit(preview.url).netloc)
        with pytest.raises(InvalidStatus, match="403"):
            page_of(preview, origin=origin)


def test_stream_without_an_origin_is_refused():
    with previewing() as preview:
        assert get(preview, "/stream/eyes", Upgrade="websocket", Connection="Upgrade")[0] == 403


@pytest.mark.parametrize("name", ["Host", "Origin"])
def test_a_header_that_comes_twice_is_refused_without_a_word_on_the_terminal(name, caplog):
    with previewing() as preview:
        address = urlsplit(preview.url)
        twice = f"{name}: {'http://' * (name == 'Origin')}{address.netloc}\r\n" * 2
        host = f"Host: {address.netloc}\r\n" if name != "Host" else ""
        with socket.create_connection((address.hostname, address.port), timeout=5) as stranger:
            stranger.sendall(f"GET /stream/eyes HTTP/1.1\r\n{host}{twice}\r\n".encode())
            words = stranger.makefile("rb").read()

    assert words.startswith(b"HTTP/1.1 403 ")
    assert f"{name}: expected".encode() in words
    assert caplog.text == ""


def test_http_own_port_is_left_out_by_browsers():
    assert names(80) == {"127.0.0.1", "localhost", "127.0.0.1:80", "localhost:80"}
    assert names(5581) == {"127.0.0.1:5581", "localhost:5581"}


@pytest.mark.parametrize("query", ["", "?key=", "?key=other", "?key=secret2", "?key=secret&x", "?", "?KEY=secret"])
def test_page_and_stream_need_the_key_where_there_is_one(query):
    with previewing(key="secret") as preview:
        netloc = urlsplit(preview.url).netloc
        for path in ("/", "/stream/eyes"):
            with socket.create_connection(netloc.split(":"), timeout=5) as stranger:
                head = f"GET {path}{query} HTTP/1.1\r\nHost: {netloc}\r\nOrigin: http://{netloc}\r\n\r\n"
                stranger.sendall(head.encode())
                words = stranger.makefile("rb").read()
            assert words.startswith(b"HTTP/1.1 403 ")
            assert b"the whole address that catchlight printed" in words
        assert get(preview, "/metrics")[0] == 200


def test_whoever_has_the_address_gets_page_and_stream():
    with streaming() as publisher, previewing(publisher.endpoint, key="secret") as preview, page_of(preview) as page:
        assert preview.url.endswith("/?key=secret")
        assert get(preview, "/?key=secret")[0] == 200
        assert wire.decode(ask(page)).face_found


@pytest.mark.parametrize(
    ("config", "is_protected"),
    [
        (PreviewConfig(), False),
        (PreviewConfig(connect="ipc:///home/me/private/eyes"), True),
        (PreviewConfig(keys=Path("me.json")), True),
    ],
    ids=["tcp", "ipc", "keys"],
)
def test_the_page_is_as_protected_as_the_stream(config, is_protected):
    keys = {new_key(config) for _ in range(3)}

    assert keys == {""} if not is_protected else len(keys) == 3 and min(map(len, keys)) >= 20


def stalled(preview, count, topic="eyes"):
    """Connects as a page, asks for many messages, and reads none of them."""
    address = urlsplit(preview.url)
    page = socket.socket()
    page.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    page.connect((address.hostname, address.port))
    page.sendall(
        f"GET /stream/{topic} HTTP/1.1\r\nHost: {address.netloc}\r\nOrigin: http://{address.netloc}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        + b"\x81\x81\0\0\0\0x" * count
    )
    return page


def test_pages_that_read_nothing_do_not_hold_the_end_up():
    with Publisher(PublisherConfig(bind="tcp://127.0.0.1:*")) as publisher, ExitStack() as pages:
        with previewing(publisher.endpoint) as preview:
            for _ in range(3):
                pages.enter_context(stalled(preview, 500))
            frame, until_s = enhanced(height=400, width=400), time.monotonic() + 3
            while time.monotonic() < until_s:  # 5 MB each time: more than the system holds for those who do not read
                publisher.send(wire.encode(frame, stream=publisher.stream))
                time.sleep(0.1)
            left_s = time.monotonic()
        took_s = time.monotonic() - left_s

    assert took_s < 15


def test_localhost_is_a_name_too():
    with streaming() as sent, previewing(sent.endpoint) as preview, page_of(preview, name="localhost") as page:
        assert wire.decode(ask(page)).topic == "eyes"


@pytest.mark.parametrize("topic", ["eyes", "face"])
def test_page_gets_the_bytes_that_were_sent(topic):
    with streaming() as publisher:
        with previewing(publisher.endpoint) as preview, page_of(preview, topic) as page:
            data = ask(page)
        sent = wire.encode(enhanced(), topic=topic, stream=publisher.stream)

    message = wire.decode(data)
    wire.stamp(sent, sent_ns=message.sent_ns, sent_seq=message.sent_seq)
    assert data == bytes(sent)


def test_page_gets_status():
    with streaming(fps=50) as publisher, previewing(publisher.endpoint) as preview, page_of(preview, "status") as page:
        assert wire.decode(ask(page)).values == {"fps": 50}


def test_page_gets_one_message_each_time_that_it_asks():
    with streaming() as publisher, previewing(publisher.endpoint) as preview, page_of(preview) as page:
        first = wire.decode(ask(page))
        with pytest.raises(TimeoutError):
            page.recv(timeout=0.2)
        second = wire.decode(ask(page))

    assert second.sent_seq > first.sent_seq


def test_slow_page_gets_the_newest():
    with streaming() as publisher, previewing(publisher.endpoint) as preview, page_of(preview) as page:
        ask(page)
        time.sleep(1)
        message = wire.decode(ask(page))
        age_s = (time.monotonic_ns() - message.sent_ns) / 1e9

    assert age_s < 0.5


def test_page_that_asks_much_at_once_is_served_in_turn():
    with streaming() as publisher, previewing(publisher.endpoint) as preview, page_of(preview) as page:
        for _ in range(50):
            page.send("next")
        numbers = [wire.decode(page.recv(timeout=10)).sent_seq for _ in range(50)]

    assert numbers == sorted(set(numbers))


def test_page_gets_the_stream_again_after_the_daemon_came_back(tmp_path):
    endpoint = f"ipc://{tmp_path}/eyes"
    with previewing(endpoint) as preview, page_of(preview) as page:
        page.send("next")
        with pytest.raises(TimeoutError):
            page.recv(timeout=0.3)
        with streaming(endpoint) as publisher:
            assert wire.decode(page.recv(timeout=10)).stream == publisher.stream
        with streaming(endpoint) as publisher:
            while wire.decode(ask(page)).stream != publisher.stream:
                pass


def test_pages_that_leave_make_room():
    with previewing() as preview:
        for _ in range(MAX_STREAMS + 2):
            with suppress(ConnectionClosed), page_of(preview) as page:
                page.send("next")
        deadline = time.monotonic() + 5
        while not _is_served(preview):
            assert time.monotonic() < deadline


def test_too_many_pages_are_turned_away():
    with previewing() as preview, ExitStack() as pages:
        for _ in range(MAX_STREAMS):
            pages.enter_context(page_of(preview))
        deadline = time.monotonic() + 5
        while _is_served(preview):
            assert time.monotonic() < deadline


def _is_served(preview):
    with page_of(preview) as page:
        try:
            page.recv(timeout=0.1)
        except TimeoutError:
            return True
        except ConnectionClosed as closed:
            return closed.rcvd.code != 1013


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 100, b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\3\1"]
)
def test_strangers_do_not_disturb(data):
    with previewing() as preview:
        address = urlsplit(preview.url)
        with socket.create_connection((address.hostname, address.port)) as stranger:
            stranger.sendall(data)
        assert get(preview)[0] == 200


def test_metrics_of_the_newest_status():
    with previewing() as preview:
        preview.update(Status(stream="a", sent_ns=0, sent_seq=0, values={"fps": 29.5}))
        status, headers, body = get(preview, "/metrics")

    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "catchlight_up 1\n" in body.decode()
    assert "catchlight_fps 29.5\n" in body.decode()


def test_metrics_without_a_daemon():
    with previewing() as preview:
        assert get(preview, "/metrics")[2].decode().endswith("\ncatchlight_up 0\n")


def test_listening_keeps_the_metrics_new():
    with streaming(fps=25) as publisher, previewing(publisher.endpoint) as preview:
        deadline = time.monotonic() + 10
        for _ in preview.listen():
            if "catchlight_fps 25" in preview.metrics():
                break
            assert time.monotonic() < deadline


def test_port_in_use():
    with previewing() as first:
        port = urlsplit(first.url).port
        with pytest.raises(StreamError, match=f"127.0.0.1:{port}: expected a free port, got: .*another port"):
            Preview(PreviewConfig(port=port)).__enter__()


@contextmanager
def command(*arguments):
    """`catchlight preview` as a process; gives it once the page is served."""
    words = [sys.executable, "-m", "realtime", "preview", "--connect", NOBODY, "--port", "0", *arguments]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert re.fullmatch(rf"preview of {NOBODY}: http://127.0.0.1:\d+/\n", process.stdout.readline())
            yield process
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_command_ends_on_a_signal():
    with command() as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM


def test_command_ends_with_the_process_that_it_was_told_of():
    waiting = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with waiting as other, command("--end-with", str(other.pid)) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        other.kill()
        assert process.wait(10) == 0


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def _is_answered(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _wait_until(holds):
    deadline = time.monotonic() + 40  # a loaded machine starts a process slowly
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_preview_beside_a_daemon_ends_with_the_block():
    port = _free_port()
    with beside(port, "tcp://0.0.0.0:5580") as url:
        assert url == f"http://127.0.0.1:{port}/"
        _wait_until(lambda: _is_answered(port))

    assert not _is_answered(port)


def test_preview_beside_a_daemon_that_is_killed_ends_too():
    port = _free_port()
    code = f"import time; from realtime.preview import beside\nwith beside({port}, {NOBODY!r}): time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code]) as daemon:
        _wait_until(lambda: _is_answered(port))
        daemon.kill()
    _wait_until(lambda: not _is_answered(port))


def test_preview_beside_a_daemon_is_refused_where_its_port_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StreamError, match=f"127.0.0.1:{port}: expected a free port"), beside(port, NOBODY):
            pytest.fail("said to be there")


@pytest.mark.parametrize(("words", "port"), [([], None), (["--preview"], 5581), (["--preview", "8080"], 8080)])
def test_port_may_be_left_out(words, port):
    assert tyro.cli(Run, args=[*words, "--seconds", "1"], config=(tyro.conf.OmitArgPrefixes,)).preview == port


@pytest.mark.parametrize("words", [["x"], ["1", "2"], ["0"], ["65536"], ["5581", "--keys", "folder"]], ids=" ".join)
def test_port_that_cannot_be_used(words, capfd):
    with pytest.raises(SystemExit) as ended:
        main(["run", "--preview", *words])

    assert ended.value.code == 2
    assert "preview" in capfd.readouterr().err


def _shown(lines, pattern):
    return next(found[1] for line in lines if (found := re.search(pattern, line)))


def test_daemon_with_a_preview(tmp_path):
    port = _free_port()
    words = [
        "run",
        "--source",
        "demo",
        "--engine",
        "bicubic",
        "--bind",
        f"ipc://{tmp_path}/eyes",
        "--preview",
        str(port),
    ]
    with subprocess.Popen([sys.executable, "-m", "realtime", *words], stderr=subprocess.PIPE, text=True) as daemon:
        try:
            preview = SimpleNamespace(url=_shown(daemon.stderr, r"preview: (http://127.0.0.1:\d+/\?key=\S+)"))
            _wait_until(lambda: _is_answered(port))
            assert get(preview)[0] == 403
            with page_of(preview) as page:
                assert wire.decode(ask(page)).face_found
            _wait_until(lambda: b"catchlight_up 1\n" in get(preview, "/metrics")[2])
        finally:
            daemon.terminate()
    _wait_until(lambda: not _is_answered(port))


@pytest.mark.skipif(not hasattr(os, "getpriority"), reason="POSIX priorities")
def test_preview_gives_way_to_the_daemon():
    with command() as process:
        assert os.getpriority(os.PRIO_PROCESS, process.pid) > os.getpriority(os.PRIO_PROCESS, 0)
