// Every option of a call, as `/options` lists them: by what has them.

/** Options of a call that this page asks for in ways of its own, or that a server decides. */
const ELSEWHERE = new Set([
  "strategy", "sampler", "drafter", "processors", "stopping", "batch_size", "logprobs",
]);
const CHOSEN = ["strategy", "sampler", "drafter"];
const CHAIN = ["logits processor", "stopping criterion", "text criterion"];

/** What a server offers: settings of every call, and components with their options. */
export class Catalogue {
  constructor({ call, components }) {
    this.settings = call.filter((option) => !ELSEWHERE.has(option.name));
    this.defaults = Object.fromEntries(call.map((option) => [option.name, option.default]));
    this.components = components;
    this.owners = new Map();
    for (const component of components.filter((each) => hasRole(each, [...CHOSEN, ...CHAIN]))) {
      for (const option of component.options) {
        const owners = this.owners.get(option.name) ?? [];
        this.owners.set(option.name, [...owners, component.name]);
      }
    }
  }

  static async load(fetchJson) {
    return new Catalogue(await fetchJson("options"));
  }

  /** The components that `strategy`, `sampler` or `drafter` names. */
  named(role) {
    return this.components.filter((component) => hasRole(component, [role]));
  }

  /** What can be added to a call: each in a group by its first such role. */
  chain() {
    return CHAIN.map((role) => ({
      role,
      components: this.components.filter(
        (component) => CHAIN.find((each) => hasRole(component, [each])) === role,
      ),
    })).filter((group) => group.components.length);
  }

  find(name, roles) {
    return this.components.find((each) => each.name === name && hasRole(each, roles));
  }

  findInChain(name) {
    return this.find(name, CHAIN);
  }

  /** How a request names an option: shortly where that is clear. */
  nameOf(component, option) {
    const owners = this.owners.get(option.name) ?? [];
    const clear = !component || owners.length === 1;
    return clear ? option.name : `${component.name}.${option.name}`;
  }
}

function hasRole(component, roles) {
  return component.roles.some((role) => roles.includes(role));
}
