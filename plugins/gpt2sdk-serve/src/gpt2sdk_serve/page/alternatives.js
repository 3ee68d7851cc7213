// What else could have stood at a token: on hover and on focus, with arrow keys from token to token.

import { element } from "./element.js";

/** Shows the alternatives of the tokens that are in an element. */
export class Alternatives {
  constructor(root, panel) {
    this.root = root;
    this.panel = panel;
    this.completions = [];
    root.addEventListener("pointerover", ({ target }) => this.#show(target.closest(".token")));
    root.addEventListener("pointerleave", () => this.#show(this.#focused()));
    root.addEventListener("focusin", ({ target }) => this.#show(target.closest(".token")));
    root.addEventListener("focusout", () => this.hide());
    root.addEventListener("keydown", (event) => this.#move(event));
    addEventListener("scroll", () => this.#place(), { passive: true });
    addEventListener("resize", () => this.#place());
  }

  /** Whose tokens are shown from now on. */
  watch(completions) {
    if (this.completions !== completions) this.hide();
    this.completions = completions;
  }

  hide() {
    this.shown?.node.removeAttribute("aria-describedby");
    this.shown = null;
    this.panel.hidden = true;
  }

  #focused() {
    return document.activeElement?.closest(".token");
  }

  #entries(node) {
    return this.completions.find((each) => each.body.contains(node))?.entries ?? [];
  }

  #show(node) {
    const entry = node && this.#entries(node).find((each) => each.node === node);
    if (!entry) {
      this.hide();
    } else if (entry !== this.shown) {
      this.hide();
      this.shown = entry;
      this.panel.replaceChildren(...entry.tokens.map(tableOf));
      this.panel.hidden = false;
      node.setAttribute("aria-describedby", this.panel.id);
      this.#place();
    }
  }

  /** Under the token where there is room, else above it; never beyond the window. */
  #place() {
    if (!this.shown) return;
    const token = this.shown.node.getClientRects()[0];
    const { width, height } = this.panel.getBoundingClientRect();
    const room = document.documentElement.clientWidth;
    const left = Math.max(8, Math.min(token.left, room - width - 8));
    const below = token.bottom + 6;
    const above = token.top - height - 6;
    const top = below + height > innerHeight && above > 0 ? above : below;
    this.panel.style.left = `${left}px`;
    this.panel.style.top = `${top}px`;
  }

  #move(event) {
    const node = event.target.closest(".token");
    const entries = node ? this.#entries(node) : [];
    const at = entries.findIndex((each) => each.node === node);
    const to = {
      ArrowLeft: at - 1,
      ArrowRight: at + 1,
      Home: 0,
      End: entries.length - 1,
    }[event.key];
    if (at < 0 || to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const next = entries[Math.max(0, Math.min(to, entries.length - 1))].node;
    node.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}

/** A token's alternatives, the likeliest first, with the one that was taken marked. */
function tableOf(token) {
  const others = token.others.some(([text]) => text === token.text)
    ? token.others
    : [...token.others, [token.text, token.logprob]];
  const rows = others.toSorted(([, one], [, other]) => other - one).map(([text, logprob]) => {
    const taken = text === token.text;
    const probability = Math.exp(logprob);
    const bar = element("span", { class: "bar" });
    bar.style.inlineSize = `${(100 * probability).toFixed(1)}%`;
    return element("tr", { class: taken ? "taken" : "" }, [
      element("th", { scope: "row" }, [visible(text)]),
      element("td", { class: "share" }, [bar]),
      element("td", {}, [percent(probability)]),
      element("td", { class: "mark" }, [taken ? "taken" : ""]),
    ]);
  });
  return element("table", {}, [element("tbody", {}, rows)]);
}

/** A token with its spaces and breaks visible. */
export function visible(text) {
  return text.replaceAll(" ", "␣").replaceAll("\n", "↵").replaceAll("\t", "⇥") || "(nothing)";
}

/** A probability as people read it. */
export function percent(probability) {
  if (probability < 0.0001) return "< 0.01 %";
  return `${(100 * probability).toFixed(probability < 0.01 ? 2 : 1)} %`;
}
