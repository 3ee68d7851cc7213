// One option as a labelled field, made of its JSON Schema.

import { element } from "./element.js";

let made = 0;

/** A field for an option: what it holds is read as JSON-ready data, or is an error in words. */
export class Field {
  /**
   * @param option What `/options` says of it.
   * @param name What the request calls it.
   */
  constructor(option, name) {
    this.option = option;
    this.name = name;
    this.kind = kindOf(option.schema);
    this.id = `option-${(made += 1)}`;
    this.input = this.#input();
    this.input.id = this.id;
    this.input.dataset.option = name;
    this.input.setAttribute("aria-describedby", `${this.id}-help ${this.id}-error`);
    this.problem = element("p", { class: "error", id: `${this.id}-error`, hidden: true });
    const values = [option.type, option.range].filter(Boolean).join(" ");
    const help = element("p", { class: "help", id: `${this.id}-help` }, [
      option.description,
      " ",
      element("span", { class: "values" }, [values + HINTS[this.kind]]),
    ]);
    this.node = element("div", { class: `field ${this.kind}`, "data-field": name }, [
      element("label", { for: this.id }, breakable(option.name)),
      this.input,
      this.problem,
      help,
    ]);
    this.input.addEventListener("input", () => this.complain(""));
  }

  #input() {
    const { option, kind } = this;
    const usual = option.required ? "required" : worded(option.default);
    if (kind === "choice") {
      const values = valuesOf(option.schema);
      const first = element("option", { value: "" }, [`default: ${usual}`]);
      const others = values.map((value) =>
        element("option", { value: JSON.stringify(value) }, [worded(value)]),
      );
      return element("select", {}, [first, ...others]);
    }
    if (kind === "number" || kind === "whole") {
      const inputmode = kind === "whole" ? "numeric" : "decimal";
      return element("input", { type: "text", inputmode, autocomplete: "off", placeholder: usual });
    }
    return element("textarea", { rows: "1", spellcheck: "false", placeholder: usual });
  }

  /** The value, or undefined where nothing was entered. Throws a FieldError with words. */
  read() {
    const text = this.input.value;
    if (text === "" || (this.kind !== "text" && this.kind !== "lines" && !text.trim())) {
      return undefined;
    }
    const value = READERS[this.kind](text, this.option);
    if (value === undefined) {
      const wanted = [this.option.type, this.option.range].filter(Boolean).join(" ");
      throw new FieldError(this, `expected ${wanted}; got ${text.trim()}`);
    }
    return value;
  }

  write(value) {
    this.input.value =
      this.kind === "choice" || typeof value !== "string" ? JSON.stringify(value) : value;
  }

  /** Show what is wrong with it next to it; nothing is wrong with an empty text. */
  complain(words) {
    complainAt(this.input, this.problem, words);
  }
}

/** A name that may be broken behind each of its words. */
function breakable(name) {
  return name.split(/(?<=_)/).flatMap((word) => [word, element("wbr")]);
}

/** What was entered does not fit the field. */
export class FieldError extends Error {
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

/** Show words next to an input, or take them away. */
export function complainAt(input, problem, words) {
  problem.textContent = words;
  problem.hidden = !words;
  if (words) {
    input.setAttribute("aria-invalid", "true");
  } else {
    input.removeAttribute("aria-invalid");
  }
}

const HINTS = {
  choice: "",
  number: "",
  whole: "",
  text: "",
  lines: " · one in each line; \\n is a line break",
  json: " · as JSON",
};

const READERS = {
  choice: (text) => JSON.parse(text),
  number: (text) => finite(text),
  // Larger numbers than 2^53 are not exact in JavaScript, so they go as they were typed.
  whole: (text) => (/^[+-]?\d+$/.test(text.trim()) ? exact(text.trim()) : undefined),
  text: (text) => text,
  lines: (text) =>
    text.split("\n").filter(Boolean).map((line) => line.replace(/\\([nt\\])/g, unescaped)),
  json: (text, option) => {
    try {
      return JSON.parse(text);
    } catch {
      return allows(option.schema, "string") ? text : undefined;
    }
  },
};

function finite(text) {
  const value = Number(text);
  return Number.isFinite(value) ? value : undefined;
}

function exact(text) {
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : JSON.rawJSON?.(BigInt(text).toString()) ?? value;
}

function unescaped(_, letter) {
  return { n: "\n", t: "\t", "\\": "\\" }[letter];
}

/** The alternatives of a schema, but for null. */
function branches(schema) {
  const all = schema?.anyOf ?? schema?.oneOf ?? [schema ?? {}];
  return all.flatMap((each) => (each.anyOf ? branches(each) : [each])).filter(
    (each) => each.type !== "null",
  );
}

function allows(schema, type) {
  return branches(schema).some((each) => each.type === type || typesOf(each).includes(type));
}

function typesOf(branch) {
  const values = branch.enum ?? ("const" in branch ? [branch.const] : []);
  return values.map((value) => typeof value);
}

function valuesOf(schema) {
  return branches(schema).flatMap((each) =>
    each.type === "boolean" ? [true, false] : each.enum ?? [each.const],
  );
}

/** Which kind of field a schema asks for. */
export function kindOf(schema) {
  const all = branches(schema);
  const closed = (each) => each.type === "boolean" || "enum" in each || "const" in each;
  if (all.length && all.every(closed)) return "choice";
  if (all.length !== 1) return "json";
  const [only] = all;
  if (only.type === "integer") return "whole";
  if (only.type === "number") return "number";
  if (only.type === "string") return "text";
  if (only.type === "array" && only.items?.type === "string") return "lines";
  return "json";
}

/** A value as people read it. */
export function worded(value) {
  if (value === null || value === undefined) return "none";
  return typeof value === "string" ? value : JSON.stringify(value);
}
