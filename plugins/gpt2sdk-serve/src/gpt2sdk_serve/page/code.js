// The request as people repeat it elsewhere.

import { pathOf } from "./request.js";

/** A command line. */
export function curlOf(body, base, hasKey) {
  const key = hasKey ? [`  -H "Authorization: Bearer $OPENAI_API_KEY"`] : [];
  return [
    `curl ${new URL(pathOf(body), base)}`,
    `  -H 'Content-Type: application/json'`,
    ...key,
    `  -d ${quoted(JSON.stringify(body))}`,
  ].join(" \\\n");
}

/** A program for OpenAI's client. */
export function pythonOf(body, base, hasKey) {
  const { gpt2sdk, ...known } = body;
  const given = Object.entries(known).map(([name, value]) => `    ${name}=${literal(value)},`);
  if (gpt2sdk) given.push(`    extra_body={"gpt2sdk": ${literal(gpt2sdk)}},`);
  const chat = "messages" in body;
  const key = hasKey ? "" : `, api_key="none"`;
  return [
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url=${literal(String(new URL("v1", base)))}${key})`,
    `answer = client.${chat ? "chat.completions" : "completions"}.create(`,
    ...given,
    ")",
    `print(answer.choices[0].${chat ? "message.content" : "text"})`,
    "",
  ].join("\n");
}

/** A preset for `--config` and `config=`. */
export function presetOf(options) {
  return `${JSON.stringify(options, null, 2)}\n`;
}

function quoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Data as Python writes it. */
export function literal(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object" && !JSON.isRawJSON?.(value)) {
    const members = Object.entries(value).map(([key, each]) => `${JSON.stringify(key)}: ${literal(each)}`);
    return `{${members.join(", ")}}`;
  }
  return JSON.stringify(value);
}
