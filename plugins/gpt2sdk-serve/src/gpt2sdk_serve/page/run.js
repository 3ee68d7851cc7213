// One request, from its first event to its last.

import { pathOf } from "./request.js";
import { Completion, tokensOf } from "./tokens.js";

/** A request that is on its way: what came of it so far, and how fast. */
export class Run {
  /**
   * @param server Whom to ask.
   * @param body What.
   * @param root Where completions are shown.
   */
  constructor(server, body, root) {
    this.server = server;
    this.body = body;
    this.root = root;
    this.completions = [];
    this.seed = null;
    this.tokens = 0;
    this.control = new AbortController();
  }

  /** Read it to its end; `changed` is called after each event. */
  async read(changed) {
    this.started = performance.now();
    const { signal } = this.control;
    for await (const event of this.server.events(pathOf(this.body), this.body, signal)) {
      this.#take(event);
      changed();
    }
  }

  stop() {
    this.control.abort();
  }

  get stopped() {
    return this.control.signal.aborted;
  }

  /** Seconds until the first token. */
  get wait() {
    return this.begun && (this.begun - this.started) / 1000;
  }

  /** Tokens in a second, from the first one on. */
  get rate() {
    const seconds = (this.last - this.begun) / 1000;
    return this.tokens > this.atOnce && seconds > 0
      ? (this.tokens - this.atOnce) / seconds
      : null;
  }

  #take(event) {
    this.seed = event.gpt2sdk?.seed ?? event.seed ?? this.seed;
    for (const choice of event.choices ?? []) {
      const completion = this.#completion(choice.index);
      completion.add(choice.text ?? choice.delta?.content ?? "", tokensOf(choice));
      if (choice.finish_reason) completion.finish(choice.finish_reason);
    }
    this.#count(event.usage?.completion_tokens ?? this.#seen());
  }

  /** How many tokens there are as far as was told: each text is of one or more. */
  #seen() {
    return this.completions.reduce((sum, each) => sum + (each.tokens.length || each.texts), 0);
  }

  #count(tokens) {
    if (tokens > this.tokens) {
      this.last = performance.now();
      this.begun ??= this.last;
      // What comes with the first token was not waited for.
      this.atOnce ??= tokens;
    }
    this.tokens = tokens;
  }

  #completion(index) {
    // What stood there before stays until there is something else to show.
    if (!this.completions.length) this.root.replaceChildren();
    while (this.completions.length <= index) {
      const made = new Completion(this.completions.length, this.body.prompt);
      this.completions.push(made);
      this.root.append(made.node);
    }
    return this.completions[index];
  }
}
