"""The page at `/`, as somebody uses it: in a browser without a window."""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files

import pytest
import uvicorn
from chromium import Chromium, chromium, path_of_chromium

from gpt2sdk import Generator, option_records
from gpt2sdk_serve import ServeSettings, make_app

PATH = path_of_chromium()
TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant:"
)
DONE = "!document.querySelector('#generate').disabled"
TEXT = "[...document.querySelectorAll('.output .token')].map(one => one.textContent).join('')"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PATH is None, reason="no Chromium is installed: the page is not looked at"),
]


@pytest.fixture(scope="module")
def generator() -> Generator:
    return Generator.from_pretrained("storyteller", device="cpu", runner="torch")


@pytest.fixture(scope="module")
def origin(generator: Generator) -> Iterator[str]:
    with serving(generator, ServeSettings(chat_template=TEMPLATE)) as url:
        yield url


@contextmanager
def serving(generator: Generator, settings: ServeSettings) -> Iterator[str]:
    """Serve the page, in a thread."""
    app = make_app({"storyteller": generator}, settings)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        server.should_exit = True
        thread.join(30)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    assert PATH is not None
    with chromium(PATH, tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(browser: Chromium, origin: str) -> Chromium:
    browser.show()
    browser.open(origin)
    return browser


def fill(page: Chromium, option: str, value: object) -> None:
    """Write into the field of an option."""
    found = f"document.querySelector('[data-option=\"{option}\"]')"
    page.run(f"{found}.value = {json.dumps(str(value))}")


def generate(page: Chromium) -> str:
    """Press the button, wait for the end, and return the text."""
    page.run("document.querySelector('#generate').click()")
    page.wait(DONE)
    return shown(page)


def shown(page: Chromium) -> str:
    """The text without the prompt, and without the signs that make line breaks visible."""
    return str(page.run(TEXT)).replace("↵", "")


def test_text_comes_token_by_token_and_is_that_of_the_call(
    page: Chromium, generator: Generator
) -> None:
    page.run(
        "window.lengths = new Set(); new MutationObserver(() => "
        "lengths.add(document.querySelectorAll('.output .token').length))"
        ".observe(document.querySelector('#output'), {childList: true, subtree: true})"
    )
    fill(page, "max_new_tokens", 24)
    fill(page, "seed", 7)
    found = generate(page)
    expected = generator.generate("Once upon a time", seed=7, max_new_tokens=24).text
    assert found == expected
    assert page.run("lengths.size") > 10
    assert page.run("document.querySelector('#reason').textContent") == "length"
    assert page.run("document.querySelector('#count').textContent") == "24"
    assert float(page.run("document.querySelector('#rate').textContent")) > 0


def test_stop_keeps_the_text_so_far_and_ends_the_row(page: Chromium, generator: Generator) -> None:
    fill(page, "max_new_tokens", 240)
    fill(page, "seed", 7)
    fill(page, "temperature", 0.7)
    page.run("document.querySelector('#generate').click()")
    page.wait("document.querySelectorAll('.output .token').length > 3")
    page.press("Escape")
    page.wait(DONE)
    found = shown(page)
    whole = generator.generate("Once upon a time", seed=7, max_new_tokens=240, temperature=0.7)
    assert found
    assert len(found) < len(whole.text)
    assert whole.text.startswith(found)
    assert page.run("document.querySelector('#reason').textContent") == "stopped by you"
    assert page.run("document.querySelector('#used-seed').textContent") == "7"
    page.wait("fetch('metrics').then(a => a.text()).then(t => /gpt2sdk_requests 0/.test(t))")


def test_the_seed_of_a_text_gives_it_again(page: Chromium) -> None:
    fill(page, "max_new_tokens", 16)
    first = generate(page)
    seed = page.run("document.querySelector('#used-seed').textContent")
    other = generate(page)
    assert page.run("document.querySelector('#used-seed').textContent") != seed
    fill(page, "seed", seed)
    assert generate(page) == first != other
    page.run("document.querySelector('[data-option=seed]').value = ''")
    page.run("document.querySelector('#reuse').click()")
    assert page.run("document.querySelector('[data-option=seed]').value") == seed
    assert generate(page) == first


def test_alternatives_of_a_token_are_shown_on_hover_and_on_focus(
    page: Chromium, generator: Generator
) -> None:
    fill(page, "max_new_tokens", 8)
    fill(page, "seed", 3)
    generate(page)
    page.point(".output .token:nth-of-type(4)")
    page.wait("!document.querySelector('#alternatives').hidden")
    rows = page.run(
        "[...document.querySelectorAll('#alternatives tr')].map(row => "
        "[row.cells[0].textContent, row.cells[2].textContent, row.cells[3].textContent])"
    )
    asked = generator.generate("Once upon a time", seed=3, max_new_tokens=8, logprobs=5)
    completion = asked.completions[0]
    assert completion.top_logprobs is not None
    likeliest = generator.tokenizer.decode([completion.top_logprobs[2][0][0]])
    taken = generator.tokenizer.decode([completion.tokens[2]])
    assert rows[0][0] == likeliest.replace(" ", "␣")
    assert [row[0] for row in rows if row[2]] == [taken.replace(" ", "␣")]
    assert len(rows) in (5, 6)
    assert all(re.fullmatch(r"(< 0\.01|\d+\.\d+) %", row[1]) for row in rows)


def test_tokens_are_reached_with_the_keyboard(page: Chromium) -> None:
    """From the prompt on, with no pointer: write, generate, look at tokens, stop."""
    page.press("Tab")
    assert page.run("document.activeElement.textContent") == "Skip to the prompt"
    page.press("Enter")
    page.run("document.querySelector('#write').focus()")
    page.run("document.activeElement.select()")
    page.write("The king")
    fill(page, "max_new_tokens", 12)
    page.press("Enter", "Control")
    page.wait("document.querySelectorAll('.output .token').length > 2")
    page.wait(DONE)
    for _ in range(8):
        page.press("Tab")
        if page.run("document.activeElement.classList.contains('token')"):
            break
    first = page.run("document.activeElement.textContent")
    assert not page.run("document.querySelector('#alternatives').hidden")
    page.press("ArrowRight")
    second = page.run("document.activeElement.textContent")
    tokens = page.run("[...document.querySelectorAll('.output .token')].map(t => t.textContent)")
    assert [first, second] == tokens[:2]
    page.press("End")
    assert page.run("document.activeElement.textContent") == tokens[-1]
    ring = page.run("getComputedStyle(document.activeElement).outlineStyle")
    assert ring != "none"
    page.press("Escape")
    assert page.run("document.querySelector('#alternatives').hidden")


def test_a_wrong_option_is_explained_next_to_its_field(page: Chromium) -> None:
    fill(page, "top_p", "1.5")
    page.run("document.querySelector('#generate').click()")
    said = page.wait("document.querySelector('[data-field=top_p] .error').textContent")
    assert "top_p" in said
    assert "1.5" in said
    assert page.run("document.activeElement.dataset.option") == "top_p"
    assert page.run("document.activeElement.getAttribute('aria-invalid')") == "true"
    assert page.run("document.querySelector('#notice').hidden")
    fill(page, "top_p", "much")
    page.run("document.querySelector('#generate').click()")
    said = page.wait("document.querySelector('[data-field=top_p] .error').textContent")
    assert said == "expected number ≥ 0, ≤ 1; got much"
    fill(page, "top_p", "0.9")
    fill(page, "max_new_tokens", 2)
    assert generate(page)
    assert page.run("document.querySelectorAll('.error:not([hidden])').length") == 0


def test_an_error_of_an_option_behind_more_options_is_seen(page: Chromium) -> None:
    fill(page, "top_p", "0.9")
    fill(page, "top_p.min_tokens_to_keep", "-3")
    page.run("document.querySelector('#generate').click()")
    page.wait("document.querySelector('[data-field$=min_tokens_to_keep] .error').textContent")
    assert page.run("document.activeElement.getClientRects().length") == 1


def test_every_component_of_a_call_can_be_chosen_or_added(
    page: Chromium, generator: Generator
) -> None:
    offered = set(page.run("[...document.querySelectorAll('#adding option')].map(o => o.value)"))
    records = option_records(generator.registry)
    roles = ("logits processor", "stopping criterion", "text criterion")
    chain = {each.component for each in records if each.role.split(", ")[0] in roles}
    assert chain <= offered
    for name in sorted(offered):
        page.run(f"document.querySelector('#adding').value = {name!r}")
        page.run("document.querySelector('#add').click()")
    named = page.run("[...document.querySelectorAll('.card')].map(c => c.dataset.component)")
    assert set(named) == offered
    unlabelled = page.run(
        "[...document.querySelectorAll('input, select, textarea')]"
        ".filter(one => !one.labels?.length && !one.getAttribute('aria-label')).length"
    )
    assert unlabelled == 0
    assert page.complaints == []


def test_help_says_what_an_option_does_takes_and_is_by_default(page: Chromium) -> None:
    page.run("document.querySelector('#adding').value = 'min_p'")
    page.run("document.querySelector('#add').click()")
    field = "document.querySelector('[data-field=min_p]')"
    assert "≥ 0, ≤ 1" in page.run(f"{field}.querySelector('.help').textContent")
    assert page.run(f"{field}.querySelector('input').placeholder") == "0"
    assert page.run("document.activeElement.dataset.option") == "min_p"


def test_a_strategy_brings_its_fields(page: Chromium, generator: Generator) -> None:
    page.run(
        "(() => { const choice = document.querySelector('#choice-strategy');"
        "choice.value = 'beam'; choice.dispatchEvent(new Event('change')); })()"
    )
    name = page.run("document.querySelector('[data-option$=num_beams]').dataset.option")
    fill(page, name, 3)
    fill(page, "max_new_tokens", 10)
    beam = {"strategy": "beam", "num_beams": 3}
    expected = generator.generate("Once upon a time", max_new_tokens=10, **beam).text
    assert generate(page) == expected


def test_what_is_added_takes_part(page: Chromium, generator: Generator) -> None:
    page.run("document.querySelector('#adding').value = 'choice'")
    page.run("document.querySelector('#add').click()")
    fill(page, "choice", " a wolf\n a king")
    fill(page, "seed", 1)
    expected = generator.generate("Once upon a time", choice=[" a wolf", " a king"], seed=1).text
    assert generate(page) == expected


def test_several_completions_are_told_apart(page: Chromium) -> None:
    fill(page, "max_new_tokens", 5)
    fill(page, "num_return_sequences", 3)
    generate(page)
    assert page.run("document.querySelectorAll('.output article').length") == 3
    assert page.run("document.querySelector('#count').textContent") == "15"


def test_a_chat_is_answered_and_goes_on(page: Chromium, generator: Generator) -> None:
    page.run("document.querySelector('input[value=chat]').click()")
    page.run("document.querySelector('#chat-form textarea').focus()")
    page.write("Who lives there?")
    fill(page, "max_new_tokens", 6)
    fill(page, "seed", 5)
    messages = [{"role": "user", "content": "Who lives there?"}]
    asked = generator.chat(messages, chat_template=TEMPLATE, max_new_tokens=6, seed=5)
    assert generate(page) == asked.text
    page.run("document.querySelector('#go-on').click()")
    texts = page.run("[...document.querySelectorAll('#chat-form textarea')].map(t => t.value)")
    assert texts == ["Who lives there?", asked.text, ""]


def test_what_is_copied_does_the_same_elsewhere(
    page: Chromium, origin: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openai")
    page.ask(
        "Browser.grantPermissions",
        origin=origin.rstrip("/"),
        permissions=["clipboardReadWrite", "clipboardSanitizedWrite"],
    )
    fill(page, "max_new_tokens", 9)
    fill(page, "seed", 11)
    fill(page, "temperature", 0.8)
    page.run("document.querySelector('#adding').value = 'min_p'")
    page.run("document.querySelector('#add').click()")
    fill(page, "min_p", 0.02)
    expected = generate(page)
    page.ask("Page.bringToFront")
    copied = {}
    for what in ("curl", "python", "preset"):
        page.run(f"document.querySelector('#copy-{what}').click()")
        page.wait(f"document.querySelector('#copy-{what}').dataset.done")
        copied[what] = page.run("navigator.clipboard.readText()")
    exec(copied["python"], {})  # noqa: S102 - what the page offers for that
    assert capsys.readouterr().out == f"{expected}\n"
    options = {"max_new_tokens": 9, "seed": 11, "temperature": 0.8, "min_p": 0.02}
    assert json.loads(copied["preset"]) == options
    assert copied["curl"].startswith(f"curl {origin}v1/completions")


def test_a_server_with_a_key_is_asked_with_it(browser: Chromium, generator: Generator) -> None:
    browser.show()
    with serving(generator, ServeSettings(api_key="sesame")) as url:
        browser.ask("Page.navigate", url=url)
        browser.wait("document.querySelector('#key-form')?.hidden === false")
        assert "key" in browser.run("document.querySelector('#notice').textContent")
        assert browser.run("document.activeElement.id") == "key"
        browser.write("wrong")
        browser.press("Enter")
        browser.wait("document.querySelector('#notice').textContent")
        browser.run("document.querySelector('#key').select()")
        browser.write("sesame")
        browser.press("Enter")
        browser.wait("document.body.dataset.ready")
        assert browser.run("document.querySelector('#key-form').hidden")
        fill(browser, "max_new_tokens", 3)
        assert generate(browser)
        browser.ask("Page.navigate", url="about:blank")


def test_no_request_leaves_the_origin_and_nothing_complains(page: Chromium, origin: str) -> None:
    fill(page, "max_new_tokens", 4)
    generate(page)
    assert page.requests
    assert [url for url in page.requests if not url.startswith(origin)] == []
    assert page.complaints == []


def test_the_page_may_not_ask_others(page: Chromium) -> None:
    """The policy that keeps it so is at work: another origin is refused by the browser."""
    refused = page.run("fetch('http://127.0.0.1:9/').then(() => '', error => error.name)")
    assert refused == "TypeError"
    assert any("Content Security Policy" in each for each in page.complaints)


def test_files_of_the_page_name_no_other_site() -> None:
    for file in files("gpt2sdk_serve").joinpath("page").iterdir():
        urls = re.findall(r"(?:https?:)?//[\w.-]+\.\w+", file.read_text(encoding="utf-8"))
        assert [
            url for url in urls if "w3.org/2000/svg" not in url and "www.w3.org" not in url
        ] == []


CONTRAST = """
(() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const over = (top, below) => {
    const alpha = top[3] ?? 1;
    return [0, 1, 2].map((each) => alpha * top[each] + (1 - alpha) * below[each]);
  };
  const light = (color) => {
    const [red, green, blue] = color.map((each) => {
      const part = each / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ground = (node) => {
    if (!node) return [255, 255, 255];
    const own = channels(getComputedStyle(node).backgroundColor);
    return over(own, own.length < 4 ? own : ground(node.parentElement));
  };
  const found = [];
  const measure = (node, color, what) => {
    const back = ground(node);
    const [high, low] = [light(over(channels(color), back)), light(back)].sort((a, b) => b - a);
    found.push([(high + 0.05) / (low + 0.05), what]);
  };
  for (const node of document.querySelectorAll("body *")) {
    const words = [...node.childNodes].some((c) => c.nodeType === 3 && c.data.trim());
    const left_out = node.closest(":disabled, option, .unseen, .skip");
    if (left_out || !node.getClientRects().length) continue;
    const what = node.outerHTML.slice(0, 80);
    if (words || node.value) measure(node, getComputedStyle(node).color, what);
    if (node.placeholder) {
      measure(node, getComputedStyle(node, "::placeholder").color, `placeholder of ${node.id}`);
    }
  }
  return found.sort((a, b) => a[0] - b[0]).slice(0, 400);
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(page: Chromium, scheme: str) -> None:
    page.show(scheme=scheme)
    fill(page, "max_new_tokens", 60)
    fill(page, "temperature", 1.5)
    generate(page)
    fill(page, "top_p", "much")
    page.run("document.querySelector('#generate').click()")
    page.run("document.querySelector('.output .token').focus()")
    page.wait("!document.querySelector('#alternatives').hidden")
    levels = page.run(
        "new Set([...document.querySelectorAll('.token')].map(t => t.dataset.likely)).size"
    )
    measured = page.run(CONTRAST)
    assert levels == 6
    assert len(measured) > 80
    assert [each for each in measured if each[0] < 4.5] == []


def test_contrast_is_found_wanting_where_it_is(page: Chromium) -> None:
    page.run("document.querySelector('h1').style.color = '#bbb'")
    assert page.run(CONTRAST)[0][0] < 2


def test_it_fits_narrow_windows(page: Chromium) -> None:
    page.show(width=360, height=740)
    fill(page, "max_new_tokens", 20)
    generate(page)
    page.run("document.querySelector('#options').open = true")
    assert page.run("document.documentElement.scrollWidth") <= 360
    page.run("[...document.querySelectorAll('.output .token')].at(-1).focus()")
    box = page.run("document.querySelector('#alternatives').getBoundingClientRect().toJSON()")
    assert 0 <= box["left"] <= box["right"] <= 360


def test_nothing_moves_where_that_is_asked_for(page: Chromium) -> None:
    reduced = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    page.ask("Emulation.setEmulatedMedia", features=reduced)
    page.run("document.querySelector('#output').setAttribute('aria-busy', 'true')")
    moving = page.run(
        "[...document.querySelectorAll('*')].flatMap(one => ['', '::after'].map(part => "
        "getComputedStyle(one, part || null).animationName)).filter(name => name !== 'none')"
    )
    assert moving == []


def test_what_happens_is_said_to_screen_readers(page: Chromium) -> None:
    fill(page, "max_new_tokens", 3)
    generate(page)
    said = page.run("document.querySelector('#said').textContent")
    assert said == "Done: 3 tokens, length."
    assert page.run("document.querySelector('#said').getAttribute('aria-live')") == "polite"
    assert page.run("document.querySelector('#notice').getAttribute('role')") == "alert"
