// What is sent: a request in OpenAI's form, with everything else in one object.

/** What OpenAI's clients call an option, where they have it. */
const THEIRS = {
  max_new_tokens: "max_tokens",
  num_return_sequences: "n",
  seed: "seed",
  stop: "stop",
  temperature: "temperature",
  top_p: "top_p",
};
const OURS = Object.fromEntries(Object.entries(THEIRS).map(([ours, theirs]) => [theirs, ours]));

/**
 * The body of a request.
 * @param asked `{model, prompt}`, or `{model, messages}` for a chat.
 * @param options Options by our names.
 */
export function bodyOf(asked, options) {
  const body = { ...asked };
  const own = {};
  for (const [name, value] of Object.entries(options)) {
    if (name in THEIRS) {
      body[THEIRS[name]] = value;
    } else {
      own[name] = value;
    }
  }
  return Object.keys(own).length ? { ...body, gpt2sdk: own } : body;
}

/** The same, to be streamed with a number of alternatives for each token. */
export function streamed(body, alternatives) {
  const wanted = "messages" in body
    ? { logprobs: true, top_logprobs: alternatives }
    : { logprobs: alternatives };
  return { ...body, ...wanted, stream: true, stream_options: { include_usage: true } };
}

/** Where a body goes. */
export function pathOf(body) {
  return "messages" in body ? "v1/chat/completions" : "v1/completions";
}

/** Our name of what an error says is wrong: `gpt2sdk.min_p`, `max_tokens`, `messages.0.role`. */
export function optionOf(param) {
  const name = param.replace(/^gpt2sdk\./, "");
  return OURS[name] ?? name;
}
