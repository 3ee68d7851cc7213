// Requests to the server this page came from, and its streams of events.

/** What the server said was wrong. */
export class ServerError extends Error {
  constructor(status, { message, param = null }) {
    super(message);
    this.status = status;
    this.param = param;
  }
}

/** The server: nothing is asked of any other. */
export class Server {
  constructor() {
    this.key = "";
  }

  async json(path) {
    const answer = await this.#fetch(path, {});
    return answer.json();
  }

  /** Send a request, and yield each event's data until the stream is done. */
  async *events(path, body, signal) {
    const answer = await this.#fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      signal,
    });
    for await (const data of dataOf(answer.body)) {
      if (data === "[DONE]") return;
      const event = JSON.parse(data);
      if (event.error) throw new ServerError(answer.status, event.error);
      yield event;
    }
    throw new Error("the connection ended before the text did");
  }

  async #fetch(path, { headers = {}, ...rest }) {
    const authorization = this.key ? { authorization: `Bearer ${this.key}` } : {};
    let answer;
    try {
      answer = await fetch(path, { ...rest, headers: { ...headers, ...authorization } });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("the server does not answer: is it still running?");
    }
    if (!answer.ok) throw new ServerError(answer.status, await problemOf(answer));
    return answer;
  }
}

async function problemOf(answer) {
  const text = await answer.text();
  try {
    const { error } = JSON.parse(text);
    if (error?.message) return error;
  } catch {
    // Something between the server and this page answered.
  }
  const wait = answer.headers.get("retry-after");
  const words = wait ? `the server is busy: try again in ${wait} seconds` : text.slice(0, 200);
  return { message: words || `the server answered ${answer.status}` };
}

/** Yield the data of each event: lines that begin with `data:`, up to an empty line. */
export async function* dataOf(body) {
  let rest = "";
  let data = [];
  for await (const text of textsOf(body)) {
    const lines = (rest + text).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith("data:")) {
        data.push(line.slice(5).replace(/^ /, ""));
      } else if (line === "" && data.length) {
        yield data.join("\n");
        data = [];
      }
    }
  }
}

// Safari iterates over no stream.
async function* textsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
