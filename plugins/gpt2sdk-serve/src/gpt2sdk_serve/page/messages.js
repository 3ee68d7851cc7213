// The form of a chat: messages, each with its role.

import { element } from "./element.js";
import { complainAt } from "./fields.js";

const ROLES = ["system", "user", "assistant"];

/** Messages that are sent to a model with a chat template. */
export class Messages {
  constructor(root) {
    this.root = root;
    this.list = element("div", { class: "messages" });
    this.problem = element("p", { class: "error", id: "messages-error", hidden: true });
    const add = element("button", { type: "button" }, ["Add a message"]);
    add.addEventListener("click", () => this.add("user", "").focus());
    root.dataset.field = "messages";
    root.append(this.list, this.problem, add);
    this.add("user", "");
  }

  /** Add a message; returns where its text is written. */
  add(role, content) {
    const roles = ROLES.map((each) => element("option", { selected: each === role }, [each]));
    const number = this.list.children.length + 1;
    const text = element("textarea", {
      rows: "2",
      spellcheck: "false",
      "aria-label": `Message ${number}`,
      "aria-describedby": this.problem.id,
    });
    text.value = content;
    text.addEventListener("input", () => this.complain(""));
    const remove = element("button", { type: "button", "aria-label": `Remove message ${number}` }, [
      "Remove",
    ]);
    const select = element("select", { "aria-label": `Role of message ${number}` }, roles);
    const node = element("div", { class: "message" }, [
      element("div", { class: "title" }, [select, remove]),
      text,
    ]);
    remove.addEventListener("click", () => node.remove());
    this.list.append(node);
    return text;
  }

  /** The messages; empty ones are left out. */
  read() {
    return [...this.list.children]
      .map((node) => ({
        role: node.querySelector("select").value,
        content: node.querySelector("textarea").value,
      }))
      .filter((message) => message.content);
  }

  complain(words) {
    const first = this.list.querySelector("textarea") ?? this.root;
    complainAt(first, this.problem, words);
  }
}
