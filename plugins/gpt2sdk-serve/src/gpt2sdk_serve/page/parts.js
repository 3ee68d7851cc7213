// The panel of options: settings, what is chosen by name, and what is added.

import { element } from "./element.js";
import { Field } from "./fields.js";

const TITLES = { strategy: "Strategy", sampler: "Sampler", drafter: "Drafter" };
const GROUPS = {
  "logits processor": "Change probabilities",
  "stopping criterion": "End rows",
  "text criterion": "End texts",
};
const AT_FIRST = ["temperature", "top_p"];

/** All options that a person has entered, wherever they stand. */
export class Parts {
  constructor(catalogue, root) {
    this.catalogue = catalogue;
    this.settings = catalogue.settings.map((option) => new Field(option, option.name));
    this.choices = Object.keys(TITLES).map((role) => new Choice(role, catalogue));
    this.cards = [];
    this.list = element("div", { class: "cards" });
    root.replaceChildren(
      section("Call", this.settings.map((field) => field.node)),
      ...this.choices.map((choice) => choice.node),
      section("Processors and stopping", [this.list, this.#adder()]),
    );
    // OpenAI's 16 tokens are few to look at.
    this.find("max_new_tokens").write(100);
    for (const name of AT_FIRST) {
      if (catalogue.findInChain(name)) this.add(name, { focus: false });
    }
  }

  /** Every field that is shown. */
  fields() {
    return [
      ...this.settings,
      ...this.choices.flatMap((choice) => choice.fields),
      ...this.cards.flatMap((card) => card.fields),
    ];
  }

  /** The field that a request, or an answer of the server, calls so. */
  find(name) {
    const last = name.split(".").at(-1);
    const all = this.fields();
    return (
      all.find((field) => field.name === name) ??
      all.find((field) => field.option.name === name) ??
      all.find((field) => field.option.name === last)
    );
  }

  /** What was entered, by the names of a request. Throws a FieldError. */
  read() {
    const options = {};
    for (const choice of this.choices) {
      if (choice.select.value) options[choice.role] = choice.select.value;
    }
    for (const field of this.fields()) {
      const value = field.read();
      if (value !== undefined) options[field.name] = value;
    }
    return options;
  }

  add(name, { focus = true } = {}) {
    const there = this.cards.find((card) => card.component.name === name);
    const card = there ?? new Card(this.catalogue.findInChain(name), this.catalogue);
    if (!there) {
      this.cards.push(card);
      this.list.append(card.node);
      card.remove.addEventListener("click", () => this.#drop(card));
    }
    if (focus) (card.fields[0]?.input ?? card.remove).focus();
  }

  #drop(card) {
    this.cards = this.cards.filter((each) => each !== card);
    card.node.remove();
    this.adding.focus();
  }

  #adder() {
    const groups = this.catalogue.chain().map(({ role, components }) =>
      element("optgroup", { label: GROUPS[role] }, components.map(nameAndSummary)),
    );
    this.adding = element("select", { id: "adding" }, groups);
    const button = element("button", { type: "button", id: "add" }, ["Add"]);
    button.addEventListener("click", () => this.add(this.adding.value));
    return element("div", { class: "adder" }, [
      element("label", { for: "adding" }, ["Add to the call"]),
      this.adding,
      button,
    ]);
  }
}

/** A strategy, sampler or drafter, chosen by name, with the fields of the one that is chosen. */
class Choice {
  constructor(role, catalogue) {
    this.role = role;
    this.catalogue = catalogue;
    this.fields = [];
    const usual = catalogue.defaults[role];
    const none = { sampler: "the strategy's own", drafter: "none" }[role];
    const first = element("option", { value: "" }, [`default: ${usual ?? none}`]);
    const named = catalogue.named(role).map((each) => element("option", {}, [each.name]));
    this.select = element("select", { id: `choice-${role}`, "data-option": role }, [first, ...named]);
    this.problem = element("p", { class: "error", id: `choice-${role}-error`, hidden: true });
    this.select.setAttribute("aria-describedby", this.problem.id);
    this.body = element("div");
    this.node = element("section", { class: "part", "data-field": role }, [
      element("h3", {}, [element("label", { for: this.select.id }, [TITLES[role]])]),
      this.select,
      this.problem,
      this.body,
    ]);
    this.select.addEventListener("change", () => this.#show());
    this.#show();
  }

  #show() {
    const name = this.select.value || this.catalogue.defaults[this.role];
    const component = name && this.catalogue.find(name, [this.role]);
    this.fields = component ? fieldsOf(component, this.catalogue) : [];
    this.body.replaceChildren(
      ...(component ? [about(component)] : []),
      ...sorted(this.fields, name),
    );
  }
}

/** A processor or criterion that was added. */
class Card {
  constructor(component, catalogue) {
    this.component = component;
    this.fields = fieldsOf(component, catalogue);
    this.remove = element("button", { type: "button", "aria-label": `Remove ${component.name}` }, [
      "Remove",
    ]);
    this.node = element("section", { class: "card", "data-component": component.name }, [
      element("div", { class: "title" }, [element("h4", {}, [component.name]), this.remove]),
      about(component),
      ...sorted(this.fields, component.name),
    ]);
  }
}

const FEW = 3;

/** The fields that matter most, and where there are many, the rest on demand. */
function sorted(fields, name) {
  const matters = ({ option }) => option.switch || option.required || option.name === name;
  const first = fields.filter(matters);
  const rest = fields.filter((field) => !matters(field));
  if (fields.length <= FEW || !rest.length) return fields.map((field) => field.node);
  const more = element("details", { class: "more" }, [
    element("summary", {}, [first.length ? `${rest.length} more options` : `${rest.length} options`]),
    ...rest.map((field) => field.node),
  ]);
  return [...first.map((field) => field.node), more];
}

function fieldsOf(component, catalogue) {
  return component.options.map(
    (option) => new Field(option, catalogue.nameOf(component, option)),
  );
}

function section(title, children) {
  return element("section", { class: "part" }, [element("h3", {}, [title]), ...children]);
}

function nameAndSummary(component) {
  return element("option", { value: component.name, title: component.description.split("\n")[0] }, [
    component.name,
  ]);
}

/** What a component does: its first sentence, and the rest on demand. */
function about(component) {
  const [first, ...rest] = component.description.split("\n");
  const more = rest.join("\n").trim();
  const origin = `${component.distribution} ${component.version}`;
  return element("details", { class: "about" }, [
    element("summary", {}, [first]),
    element("pre", {}, [more ? `${more}\n\n${origin}` : origin]),
  ]);
}
