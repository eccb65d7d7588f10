"use strict";

const byId = (id) => document.getElementById(id);
const turns = byId("turns"), text = byId("text"), note = byId("note");
let messages = []; // of the conversation, as the API has them
let answering = null; // an AbortController while a reply comes
let key = ""; // as long as the page is open

function call(path, body, signal) {
	const headers = key ? { Authorization: "Bearer " + key } : {};
	if (!body) return fetch(path, { headers, signal });
	headers["Content-Type"] = "application/json";
	return fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal });
}

// failure is what an answer says that is none.
async function failure(answer) {
	const said = await answer.json().catch(() => null);
	return new Error(said?.error?.message ?? `the server answered ${answer.status}`);
}

async function listModels() {
	const answer = await call("v1/models");
	byId("keyForm").hidden = answer.status !== 401;
	if (answer.status === 401) {
		byId("key").focus();
		return;
	}
	if (answer.status === 503) {
		note.textContent = "The model is being loaded.";
		setTimeout(start, 500);
		return;
	}
	if (!answer.ok) throw await failure(answer);
	const names = (await answer.json()).data.map((m) => m.id);
	byId("model").replaceChildren(...names.map((n) => new Option(n, n)));
	note.textContent = "";
	text.focus();
}

function start() {
	listModels().catch((e) => { note.textContent = "No models: " + e.message; });
}

function show(role, said) {
	const turn = document.createElement("div");
	turn.className = "turn " + role;
	turn.textContent = said;
	turns.append(turn);
	turns.scrollTop = turns.scrollHeight;
	return turn;
}

// events yields the data of a stream's events.
async function* events(body) {
	let held = "";
	const reader = body.pipeThrough(new TextDecoderStream()).getReader(); // Safari iterates over no streams
	try {
		for (let part = await reader.read(); !part.done; part = await reader.read()) {
			const all = (held + part.value).split("\n\n");
			held = all.pop();
			for (const event of all) {
				if (event.startsWith("data: ") && event !== "data: [DONE]") yield JSON.parse(event.slice(6));
			}
		}
	} finally {
		reader.cancel().catch(() => {}); // of a stream that failed
	}
}

async function reply(question) {
	const mine = messages; // another conversation may begin meanwhile
	answering = new AbortController();
	byId("send").hidden = true;
	byId("stop").hidden = false;
	const turn = show("assistant writing", "");
	let said = "", tokens = 0, began = 0, ended = "";
	try {
		const answer = await call("v1/chat/completions", {
			model: byId("model").value, messages: mine, stream: true, stream_options: { include_usage: true },
			temperature: Number(byId("temperature").value),
		}, answering.signal);
		if (!answer.ok) throw await failure(answer);
		for await (const event of events(answer.body)) {
			if (event.error) throw new Error(event.error.message);
			if (event.usage) tokens = event.usage.completion_tokens;
			const choice = event.choices[0];
			if (!choice) continue;
			began ||= performance.now();
			said += choice.delta.content ?? "";
			if (choice.finish_reason === "length") ended = "; the context is full";
			const atEnd = turns.scrollHeight - turns.scrollTop - turns.clientHeight < 40;
			turn.textContent = said;
			if (atEnd) turns.scrollTop = turns.scrollHeight;
		}
		const seconds = (performance.now() - began) / 1000;
		note.textContent = `${tokens} tokens, ${(tokens / Math.max(seconds, 0.001)).toFixed(1)} a second${ended}`;
	} catch (e) {
		if (e.name === "AbortError") {
			note.textContent = "Stopped.";
		} else {
			note.textContent = "";
			show("wrong", e.message);
		}
	}
	turn.classList.remove("writing");
	if (said) {
		mine.push({ role: "assistant", content: said });
	} else { // the question may be asked again
		const { content } = mine.pop();
		text.value ||= content; // unless the next one is being typed
		turn.remove();
		question.remove();
	}
	byId("send").hidden = false;
	byId("stop").hidden = true;
	answering = null;
	text.focus();
}

byId("say").addEventListener("submit", (e) => {
	e.preventDefault();
	const said = text.value.trim();
	if (!said || answering || !byId("model").value) return;
	text.value = "";
	messages.push({ role: "user", content: said });
	reply(show("user", said));
});
text.addEventListener("keydown", (e) => {
	if (e.key === "Enter" && !e.shiftKey && !e.isComposing) {
		e.preventDefault();
		byId("say").requestSubmit();
	}
});
document.addEventListener("keydown", (e) => { if (e.key === "Escape") answering?.abort(); });
byId("stop").addEventListener("click", () => answering?.abort());
byId("clear").addEventListener("click", () => {
	answering?.abort();
	messages = [];
	turns.replaceChildren();
	note.textContent = "";
	text.focus();
});
byId("keyForm").addEventListener("submit", (e) => {
	e.preventDefault();
	key = byId("key").value;
	start();
});
start();
