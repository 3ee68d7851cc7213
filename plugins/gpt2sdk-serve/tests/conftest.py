"""Servers on a loopback port, with the storyteller or a model that chats."""

import asyncio
import http.client
import json
import threading
from contextlib import contextmanager

import pytest

from gpt2sdk import Generator
from gpt2sdk_serve import ServeSettings, make_app
from gpt2sdk_serve.graceful_server import GracefulServer, listening

TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}{{ eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)


class Site:
    """A server that runs, and how it is asked without a client's help."""

    def __init__(self, app, port):
        self.app = app
        self.port = port
        self.state = app.state.server

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method, path, body=None, headers=None):
        """Return status, headers in lower case and body; JSON is read."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        data = body if isinstance(body, bytes | str | None) else json.dumps(body)
        connection.request(method, path, data, headers or {})
        answer = connection.getresponse()
        read = answer.read()
        told = {name.lower(): value for name, value in answer.getheaders()}
        connection.close()
        if told.get("content-type", "").startswith("application/json"):
            read = json.loads(read)
        return answer.status, told, read

    def post(self, path, **body):
        """Return what is answered to fields, which has to be right."""
        status, _, answer = self.ask("POST", path, body)
        assert status == 200, answer
        return answer

    def refusal(self, path, **body):
        """Return the error that fields are answered with; it is 400 and not to be tried again."""
        status, headers, answer = self.ask("POST", path, body)
        assert (400, "false") == (status, headers["x-should-retry"]), answer
        assert {"message", "type", "param", "code"} == answer["error"].keys()
        return answer["error"]


@contextmanager
def running(served, **settings):
    """Serve in a thread until the end of the context."""
    chosen = ServeSettings(**{"port": 0, "grace": 5.0, **settings})
    app = make_app(served, chosen)
    server = GracefulServer(app, chosen)
    with listening(chosen) as socket:
        site = Site(app, socket.getsockname()[1])
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([socket])))
        thread.start()
        while not server.started and thread.is_alive():
            threading.Event().wait(0.01)
        try:
            yield site
        finally:
            server.should_exit = True
            thread.join(30)
    assert not thread.is_alive()


@pytest.fixture(scope="session")
def storyteller():
    """Return the model that everything is compared with."""
    return Generator.from_pretrained("storyteller")


@pytest.fixture(scope="session")
def site(storyteller):
    """Return a server of the storyteller, under two names."""
    with running({"storyteller": storyteller, "teller": storyteller}) as site:
        yield site


@pytest.fixture(scope="session")
def chat_site(storyteller):
    """Return a server that has a chat template."""
    with running({"storyteller": storyteller}, chat_template=TEMPLATE) as site:
        yield site


@pytest.fixture(scope="session")
def serve():
    """Return what starts another server."""
    return running


@pytest.fixture
def client(site):
    """Return OpenAI's client; it tries nothing again."""
    openai = pytest.importorskip("openai", reason="needs openai: requirements-dev.txt")
    with openai.OpenAI(base_url=f"{site.url}/v1", api_key="none", max_retries=0) as client:
        yield client
