// The text as it comes: each token an element, coloured by how likely it was.

import { element } from "./element.js";

/** From where on a token counts as how likely; the last is what is left. */
export const LIKELY = [
  [0.9, "90 % and more"],
  [0.5, "50 %"],
  [0.2, "20 %"],
  [0.05, "5 %"],
  [0.01, "1 %"],
  [0, "less"],
];

/** One completion: its tokens, and what was said of each. */
export class Completion {
  constructor(index, prompt) {
    this.text = "";
    this.texts = 0;
    this.tokens = [];
    this.reason = null;
    this.entries = [];
    this.waiting = [];
    this.bare = false;
    this.start = prompt ? [element("span", { class: "prompt" }, [prompt])] : [];
    this.body = element("div", { class: "tokens" }, this.start);
    this.ending = element("span", { class: "ending" });
    this.node = element("article", { "aria-label": `Completion ${index + 1}` }, [
      this.body,
      this.ending,
    ]);
  }

  /** Add what an event brings: text, and its tokens where it has any. */
  add(text, tokens) {
    this.text += text;
    this.tokens.push(...tokens);
    this.waiting.push(...tokens);
    if (!text) return;
    this.texts += 1;
    this.bare ||= !this.waiting.length;
    this.#write(text, this.waiting);
    this.waiting = [];
  }

  /** It is over: tokens that were told only now take their places. */
  finish(reason) {
    this.reason = reason;
    this.ending.textContent = reason;
    if (this.bare && this.tokens.length) {
      this.body.replaceChildren(...this.start);
      this.entries = [];
      this.#write(this.text, this.tokens);
    }
  }

  #write(text, tokens) {
    for (const [piece, its] of aligned(text, tokens)) {
      const attributes = { class: "token" };
      if (its.length && its[0].logprob !== undefined) {
        attributes["data-likely"] = levelOf(Math.exp(its[0].logprob));
        attributes.tabindex = this.entries.length ? "-1" : "0";
      }
      const node = element("span", attributes, [shown(piece)]);
      if ("tabindex" in attributes) this.entries.push({ node, tokens: its });
      this.body.append(node);
    }
  }
}

/** Which colour a probability has: 0 for the likeliest. */
export function levelOf(probability) {
  return String(LIKELY.findIndex(([least]) => probability >= least));
}

// A line break is hard to point at.
function shown(piece) {
  const parts = piece.split("\n");
  return parts.reduce((made, part, place) => {
    if (place) made.append(element("span", { class: "break", "aria-hidden": "true" }, ["↵"]), "\n");
    made.append(part);
    return made;
  }, document.createDocumentFragment());
}

/**
 * Which part of a text each token wrote. Tokens that have only parts of a character, and so no
 * text of their own, are taken together with those that complete it.
 */
export function* aligned(text, tokens) {
  let rest = text;
  let held = [];
  for (const token of tokens) {
    const at = token.text && !token.text.startsWith("bytes:") ? rest.indexOf(token.text) : -1;
    // Held tokens have few characters: what is found far behind them is another place.
    if (at < 0 || at > 4 * held.length) {
      held.push(token);
      continue;
    }
    if (at > 0) {
      yield [rest.slice(0, at), held];
      held = [];
    }
    yield [token.text, [...held, token]];
    held = [];
    rest = rest.slice(at + token.text.length);
  }
  if (rest) yield [rest, held];
}

/** Tokens of an event of `/v1/completions` or `/v1/chat/completions`, in one form. */
export function tokensOf(choice) {
  const { logprobs } = choice;
  if (!logprobs) return [];
  if (logprobs.content) {
    return logprobs.content.map((each) => ({
      text: each.token,
      logprob: each.logprob,
      others: each.top_logprobs.map((other) => [other.token, other.logprob]),
    }));
  }
  return (logprobs.tokens ?? []).map((text, place) => ({
    text,
    logprob: logprobs.token_logprobs?.[place] ?? undefined,
    others: Object.entries(logprobs.top_logprobs?.[place] ?? {}),
  }));
}
