// The page: what is entered, sent and shown.

import { Alternatives } from "./alternatives.js";
import { Catalogue } from "./catalogue.js";
import { curlOf, presetOf, pythonOf } from "./code.js";
import { byId, element } from "./element.js";
import { complainAt, FieldError } from "./fields.js";
import { Messages } from "./messages.js";
import { Parts } from "./parts.js";
import { bodyOf, optionOf, streamed } from "./request.js";
import { Run } from "./run.js";
import { Server, ServerError } from "./stream.js";
import { LIKELY } from "./tokens.js";

const ALTERNATIVES = 5;
const server = new Server();
const output = byId("output");
const alternatives = new Alternatives(output, byId("alternatives"));
const messages = new Messages(byId("chat-form"));
let parts;
let models = [];
let run = null;

async function load() {
  try {
    const [catalogue, listed] = await Promise.all([
      Catalogue.load((path) => server.json(path)),
      server.json("v1/models"),
    ]);
    models = listed.data;
    byId("model").replaceChildren(...models.map(({ id }) => element("option", {}, [id])));
    parts = new Parts(catalogue, byId("option-parts"));
    byId("key-form").hidden = true;
    notice("");
    showModes();
    document.body.dataset.ready = "true";
  } catch (error) {
    refuse(error);
  }
}

function showModes() {
  const model = models.find(({ id }) => id === byId("model").value);
  const chats = model?.has_chat_template ?? false;
  byId("modes").hidden = !chats;
  const chat = chats && mode() === "chat";
  byId("text-form").hidden = chat;
  byId("chat-form").hidden = !chat;
}

function mode() {
  return document.querySelector("input[name=mode]:checked").value;
}

/** What is asked and with which options. Throws a FieldError. */
function entered() {
  const chat = !byId("chat-form").hidden;
  const model = byId("model").value;
  const asked = chat
    ? { model, messages: messages.read() }
    : { model, prompt: byId("write").value };
  return { asked, options: parts.read() };
}

async function generate() {
  if (run || !parts) return;
  clearComplaints();
  let body;
  try {
    const { asked, options } = entered();
    body = streamed(bodyOf(asked, options), ALTERNATIVES);
  } catch (error) {
    refuse(error);
    return;
  }
  const running = begin(body);
  try {
    await running.read(() => {
      output.classList.remove("waiting");
      alternatives.watch(running.completions);
      showFacts();
    });
    say(`Done: ${running.tokens} tokens, ${reasonOf(running)}.`);
  } catch (error) {
    if (running.stopped) {
      say(`Stopped after ${running.tokens} tokens.`);
    } else {
      refuse(error);
    }
  } finally {
    end(running);
  }
}

function begin(body) {
  output.setAttribute("aria-busy", "true");
  run = new Run(server, body, output);
  output.classList.add("waiting");
  byId("generate").disabled = true;
  byId("stop").disabled = false;
  say("Generating.");
  return run;
}

function end(ended) {
  // A disabled button would take the focus with it.
  if (document.activeElement === byId("stop")) byId("generate").focus();
  run = null;
  output.setAttribute("aria-busy", "false");
  output.classList.remove("waiting");
  byId("generate").disabled = false;
  byId("stop").disabled = true;
  if (!ended.completions.length) return;
  byId("go-on").hidden = !("messages" in ended.body);
  byId("go-on").onclick = () => goOn(ended);
  showFacts(ended);
}

function goOn(ended) {
  messages.add("assistant", ended.completions[0].text);
  messages.add("user", "").focus();
  byId("go-on").hidden = true;
}

function reasonOf(shown) {
  if (shown.stopped) return "stopped by you";
  const reasons = shown.completions.map((each) => each.reason);
  return reasons.length && reasons.every(Boolean) ? [...new Set(reasons)].join(", ") : "–";
}

function showFacts(shown = run) {
  const { seed, tokens, rate, wait } = shown;
  byId("facts").hidden = false;
  byId("reason").textContent = reasonOf(shown);
  byId("count").textContent = tokens;
  byId("rate").textContent = rate ? rate.toFixed(1) : "–";
  byId("first").textContent = wait === undefined ? "–" : `${Math.round(1000 * wait)} ms`;
  byId("used-seed").textContent = seed ?? "–";
  byId("reuse").disabled = seed === null;
}

/** Say what is wrong, next to what it is wrong with where that is known. */
function refuse(error) {
  say("");
  const words = error.message;
  if (error instanceof FieldError) {
    complain(error.field, words);
  } else if (error instanceof ServerError && error.status === 401) {
    byId("key-form").hidden = false;
    notice(words);
    byId("key").focus();
  } else if (!(error instanceof ServerError && error.param && complainOf(error.param, words))) {
    notice(words);
  }
}

function complainOf(param, words) {
  const name = optionOf(param);
  const [first] = name.split(/[.[]/);
  if (first === "messages" && !byId("chat-form").hidden) {
    messages.complain(words);
    return true;
  }
  const plain = { prompt: "write", model: "model" }[first];
  const choice = byId(`choice-${name}`);
  const field = parts?.find(name);
  if (plain) {
    complainAt(byId(plain), byId(`${plain}-error`), words);
    byId(plain).focus();
  } else if (choice) {
    complainAt(choice, byId(`${choice.id}-error`), words);
    choice.focus();
  } else if (field) {
    complain(field, words);
  }
  return Boolean(plain || choice || field);
}

function complain(field, words) {
  for (let node = field.node; node; node = node.parentElement) {
    if (node.localName === "details") node.open = true;
  }
  field.complain(words);
  field.input.focus();
}

function clearComplaints() {
  notice("");
  for (const problem of document.querySelectorAll(".error")) problem.hidden = true;
  for (const input of document.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
  }
}

function notice(words) {
  byId("notice").textContent = words;
  byId("notice").hidden = !words;
}

function say(words) {
  byId("said").textContent = words;
}

async function copy(what, make) {
  try {
    const { asked, options } = entered();
    await navigator.clipboard.writeText(make(asked, options));
    say(`Copied as ${what}.`);
    byId(`copy-${what.toLowerCase()}`).dataset.done = "true";
    setTimeout(() => delete byId(`copy-${what.toLowerCase()}`).dataset.done, 1500);
  } catch (error) {
    refuse(error instanceof FieldError ? error : new Error("the browser did not let this page copy"));
  }
}

byId("generate").addEventListener("click", generate);
byId("stop").addEventListener("click", () => run?.stop());
byId("model").addEventListener("change", showModes);
byId("modes").addEventListener("change", showModes);
byId("reuse").addEventListener("click", () => {
  parts.find("seed").write(Number(byId("used-seed").textContent));
  say("The seed is kept for the next text.");
});
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  server.key = byId("key").value;
  load();
});
byId("copy-curl").addEventListener("click", () =>
  copy("curl", (asked, options) => curlOf(bodyOf(asked, options), location.href, server.key)),
);
byId("copy-python").addEventListener("click", () =>
  copy("Python", (asked, options) => pythonOf(bodyOf(asked, options), location.href, server.key)),
);
byId("copy-preset").addEventListener("click", () =>
  copy("preset", (_, options) => presetOf(options)),
);
addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    generate();
  } else if (event.key === "Escape") {
    if (run) run.stop();
    else alternatives.hide();
  }
});
byId("legend").replaceChildren(
  ...LIKELY.map(([, words], level) =>
    element("li", {}, [element("span", { class: "token", "data-likely": String(level) }, [words])]),
  ),
);
// Beside the text there is room for the options; under it they are out of the way at first.
if (matchMedia("(max-width: 60rem)").matches) byId("options").open = false;
load();
