// OpenAI's client for JavaScript against a server: whole answers, streams, errors,
// and an abort, after which the server must be free again.
"use strict";
const assert = require("node:assert/strict");
const OpenAI = require("openai");

const url = process.argv[2];
const client = new OpenAI({ baseURL: url + "/v1", maxRetries: 0 });
const chat = { model: "story", messages: [{ role: "user", content: "Who are you?" }], max_tokens: 30, seed: 3 };

async function idle() {
  for (;;) {
    const text = await (await fetch(url + "/metrics")).text();
    if (text.includes("\nopenelm_requests_processing 0\n")) return text;
    await new Promise((done) => setTimeout(done, 5));
  }
}

async function main() {
  const models = [];
  for await (const m of client.models.list()) models.push(m.id);
  assert.deepEqual(models, ["story"]);

  const whole = await client.chat.completions.create({ ...chat, logprobs: true, top_logprobs: 1 });
  const content = whole.choices[0].message.content;
  assert.ok(content.length > 0 && whole.choices[0].logprobs.content.length > 0);
  let text = "", usage;
  for await (const part of await client.chat.completions.create({ ...chat, stream: true, stream_options: { include_usage: true } })) {
    text += part.choices[0]?.delta.content ?? "";
    usage = part.usage ?? usage;
  }
  assert.equal(text, content);
  assert.deepEqual(usage.total_tokens, whole.usage.total_tokens);
  assert.equal((await client.chat.completions.stream(chat).finalChatCompletion()).choices[0].message.content, content);

  const completion = { model: "story", prompt: "Once upon a time", max_tokens: 20, seed: 3 };
  const story = (await client.completions.create(completion)).choices[0].text;
  text = "";
  for await (const part of await client.completions.create({ ...completion, stream: true })) text += part.choices[0].text;
  assert.equal(text, story);

  const response = await client.responses.create({ model: "story", input: "Who are you?", max_output_tokens: 30, temperature: 0 });
  assert.ok(response.output_text.length > 0);
  const [a, b] = await Promise.all([{}, { encoding_format: "float" }].map(async (format) =>
    (await client.embeddings.create({ model: "story", input: "The moon is white.", ...format })).data[0].embedding));
  assert.equal(a.length, b.length);
  a.forEach((x, i) => assert.ok(Math.abs(x - b[i]) < 1e-7));

  await assert.rejects(client.chat.completions.create({ ...chat, top_p: 2 }), (e) => e instanceof OpenAI.BadRequestError && e.param === "top_p");
  await assert.rejects(client.chat.completions.create({ ...chat, model: "gpt-4" }), OpenAI.NotFoundError);

  // Aborts: before anything came, and in the middle.
  for (const parts of [0, 3]) {
    const controller = new AbortController();
    const long = { ...completion, n: 60, max_tokens: 400, stream: true, ignore_eos: true };
    let n = 0;
    if (parts === 0) setTimeout(() => controller.abort(), 1);
    try {
      for await (const _ of await client.completions.create(long, { signal: controller.signal })) if (++n === parts) controller.abort();
    } catch (e) {
      assert.ok(e instanceof OpenAI.APIUserAbortError, e);
    }
    assert.ok(controller.signal.aborted && n < 60 * 400);
    await idle();
  }
  console.log("ok");
}

main().catch((e) => {
  console.error(e);
  process.exit(1);
});
