import { differences } from "./words.js";

const byId = (id) => document.getElementById(id);
const text = byId("text"), answer = byId("answer"), card = byId("answerCard");

// The actions, each with a key: with Alt anywhere, and alone where no text is typed. On a Mac with Command, too, since
// Option alone writes: a German @ is ⌥L, and ⌥E the accent of the next letter.
const actions = [
	{ name: "rewrite", label: "Rewrite", key: "R", title: "Rewritten" },
	{ name: "shorten", label: "Shorten", key: "S", title: "Shorter" },
	{ name: "fix", label: "Fix", key: "F", title: "Corrected", what: "spelling and grammar" },
	{ name: "friendlier", label: "Friendlier", key: "L", title: "Friendlier" },
	{ name: "summarise", label: "Summarise", key: "U", title: "Summary" },
	{ name: "explain", label: "Explain", key: "E", title: "Explained" },
	{ name: "continue", label: "Continue", key: "C", title: "Continued" },
	{ name: "ask", label: "Ask", key: "Enter", title: "Answer", what: "what the text asks for" },
];
const mac = /Mac/.test(navigator.platform);
const ariaKey = (key) => (mac ? "Alt+Meta+" : "Alt+") + key;
const alt = (key) => (mac ? "⌥⌘" : "Alt+") + (key === "Enter" ? "↵" : key);

let token = sessionStorage.getItem("token");
let now = null; // the last event of the program: { state, settings }
let running = null; // the question under way: { action, text, from, to, abort }
let shown = null; // the answer that is shown: running's, with what came
const undo = []; // texts before they were replaced
const redo = []; // texts before that was undone, with what was typed since

// The program.

class Refused extends Error {}

async function call(path, body, signal) {
	const o = { headers: { Authorization: "Bearer " + token }, signal, method: "GET" };
	if (body !== undefined) {
		o.method = "POST";
		o.headers["Content-Type"] = "application/json";
		o.body = JSON.stringify(body);
	}
	const response = await fetch(path, o);
	if (response.ok) return response;
	const said = await response.json().catch(() => null);
	if (response.status === 401) lost(said?.error ?? "This page is not open any more.", false);
	throw new Refused(said?.error ?? `The program answered ${response.status}.`);
}

// events yields the lines of a stream of JSON.
async function* events(body) {
	let held = "";
	const reader = body.pipeThrough(new TextDecoderStream()).getReader(); // Safari iterates over no streams
	try {
		for (let part = await reader.read(); !part.done; part = await reader.read()) {
			const all = (held + part.value).split("\n");
			held = all.pop();
			for (const line of all) yield JSON.parse(line);
		}
	} finally {
		reader.cancel().catch(() => {}); // of a stream that failed
	}
}

// open exchanges the ticket of the address for a token, and forgets it.
async function open() {
	const ticket = new URLSearchParams(location.hash.slice(1)).get("ticket");
	if (ticket) {
		history.replaceState(null, "", location.pathname);
		const response = await fetch("session", { method: "POST", body: JSON.stringify({ ticket }) });
		const said = await response.json();
		if (response.ok) {
			token = said.token;
			sessionStorage.setItem("token", token);
		} else if (!token) {
			lost(said.error, false);
			return;
		}
	}
	if (!token) {
		lost("This page is opened from OpenELM's icon.", false);
		return;
	}
	watch();
}

let watching = null;

// watch shows what the program tells for as long as the page is in sight.
async function watch() {
	if (watching || document.hidden || !token) return;
	watching = new AbortController();
	const signal = watching.signal;
	try {
		const response = await call("watch", undefined, signal);
		for await (const event of events(response.body)) {
			if (event.closed) throw new Error("closed");
			byId("lost").hidden = true;
			now = event;
			show();
			if (event.offered) offer(event.offered);
		}
		throw new Error("closed");
	} catch (e) {
		if (!signal.aborted && !(e instanceof Refused)) lost("OpenELM was quit, or cannot be reached. What you see here is still yours to copy.", true);
	} finally {
		if (watching?.signal === signal) watching = null;
	}
}

function lost(why, again) {
	byId("lostText").textContent = why;
	byId("retry").hidden = !again;
	byId("lost").hidden = false;
	now = null;
	show();
}

document.addEventListener("visibilitychange", () => {
	if (document.hidden) {
		watching?.abort();
		watching = null;
	} else {
		watch();
	}
});
addEventListener("hashchange", () => open().catch(() => {}));
byId("retry").addEventListener("click", watch);

// What there is.

function bytes(n) {
	if (n >= 1e9) return (n / 1e9).toFixed(1) + " GB";
	return Math.max(1, Math.round(n / 1e6)) + " MB";
}

const shortName = (name) => name === "story" ? "story model" : name.replace(/^apple\/OpenELM-/, "").replace(/^.*[/\\]/, "").replace("1_1B", "1.1B").replace("-", " ");

function note() {
	if (!now) return "";
	const s = now.state;
	const words = { resting: "Resting: no memory taken", loading: "Opening the model…", ready: "Ready", answering: "Writing…", downloading: "Downloading" };
	const parts = [words[s.status] ?? s.status];
	if (s.memory_bytes) parts.push(bytes(s.memory_bytes));
	if (s.tokens_per_second) parts.push(Math.round(s.tokens_per_second * 10) / 10 + " tokens a second");
	return parts.join(" · ");
}

function set(id, value) { if (byId(id).textContent !== value) byId(id).textContent = value; }

function show() {
	set("note", note());
	for (const b of document.querySelectorAll("#actions button")) b.disabled = !now || Boolean(running);
	if (!now) return;
	const { state, settings } = now;
	set("modelName", shortName(state.model));
	byId("noModel").hidden = !state.story || Boolean(state.download) || Boolean(shown);
	byId("showHistory").hidden = !settings.keep_history;
	byId("problem").hidden = !state.problem || Boolean(card.classList.contains("wrong") && !card.hidden);
	set("problemText", state.problem ?? "");

	byId("download").hidden = !state.download;
	if (state.download) {
		const part = state.download_size ? state.downloaded / state.download_size : 0;
		const amount = state.download_size ? `${bytes(state.downloaded)} of ${bytes(state.download_size)}` : "";
		set("downloadText", `${state.download_paused ? "Paused: " : "Downloading "}${shortName(state.download)}${amount && ", " + amount}`);
		if (state.download_size) byId("downloadBar").value = part; else byId("downloadBar").removeAttribute("value");
		byId("downloadBar").hidden = state.download_paused && !state.download_size;
		swap("pause", "resume", !state.download_paused);
		byId("forgetDownload").hidden = !state.download_paused;
	}

	for (const box of document.querySelectorAll("#settings [type=checkbox]")) box.checked = Boolean(settings[box.id]);
	for (const id of ["start_at_login", "hide_icon", "global_key"]) byId(id).closest("label").hidden = !now.abilities[id];
	set("globalKeyName", now.abilities.global_key ?? "");
	byId("idle").value = String((settings.idle_time || 300e9) / 1e9);
	byId("idleField").hidden = Boolean(settings.keep_loaded);
	byId("unload").disabled = !state.memory_bytes;
	if (document.activeElement !== byId("adapter")) byId("adapter").value = settings.adapter ?? "";
	const own = settings.temperature === undefined || settings.temperature === null;
	if (document.activeElement !== byId("temperature") || own) byId("temperature").value = own ? 0.7 : settings.temperature;
	set("temperatureValue", own ? "–" : String(settings.temperature));
	byId("ownTemperature").setAttribute("aria-pressed", String(own));
	for (const b of document.querySelectorAll("#modelList button")) b.setAttribute("aria-current", String(b.dataset.name === (settings.model ?? "")));
}

// swap shows one of two buttons, and keeps the focus on whichever it is.
function swap(a, b, first) {
	const focused = [byId(a), byId(b)].includes(document.activeElement);
	byId(a).hidden = !first;
	byId(b).hidden = first;
	if (focused) byId(first ? a : b).focus();
}

function announce(what) { byId("announce").textContent = what; }

// The text.

function replaceText(value) {
	undo.push(text.value);
	if (undo.length > 50) undo.shift();
	redo.length = 0;
	text.value = value;
	showSteps();
}

function showSteps() {
	byId("undo").hidden = undo.length === 0;
	byId("redo").hidden = redo.length === 0;
}

// step goes to the last text of a list, and keeps the one that there is, whatever was typed into it, in the other.
function step(from, to, said) {
	if (!from.length) return;
	to.push(text.value);
	text.value = from.pop();
	showSteps();
	announce(said);
	text.focus();
}

function undoText() { step(undo, redo, "Undone."); }

function redoText() { step(redo, undo, "Redone."); }

let taken = 0; // the number of the last text that was offered

function offer({ number, text: value }) {
	call("offered", { number }).catch(() => {});
	if (number === taken) return; // it was told twice
	taken = number;
	if (!value || value === text.value) return;
	if (text.value) replaceText(value); else text.value = value;
	if (!running) hideAnswer();
	text.focus();
	text.setSelectionRange(0, 0);
	text.scrollTop = 0;
}

// The answer.

function hideAnswer() {
	card.hidden = true;
	shown = null;
	show();
}

// begin shows the card for a question.
function begin(action) {
	card.hidden = false;
	card.classList.remove("wrong");
	answer.classList.add("writing");
	answer.textContent = "";
	set("answerTitle", action.title);
	byId("answerNotice").hidden = true;
	for (const id of ["replace", "copy", "again", "useBeginning", "changes", "dismiss"]) byId(id).hidden = true;
	byId("stop").hidden = false;
}

// end shows what may be done with an answer, from now on.
function end(usable) {
	running = null;
	answer.classList.remove("writing");
	const focused = document.activeElement === byId("stop");
	byId("stop").hidden = true;
	byId("replace").hidden = byId("copy").hidden = !usable;
	byId("again").hidden = byId("dismiss").hidden = false;
	if (focused) byId(usable ? "replace" : "dismiss").focus();
}

function wrong(message) {
	card.classList.add("wrong");
	set("answerTitle", "That did not work");
	answer.textContent = message;
	end(false);
	announce(message);
}

async function run(action, again) {
	if (running || !now) return;
	let from = text.selectionStart, to = text.selectionEnd, whole = text.value;
	if (from === to) { from = 0; to = whole.length; }
	const question = again ?? { action, whole, from, to, text: whole.slice(from, to), cut: false };
	running = shown = question;
	question.said = "";
	question.done = null;
	question.abort = new AbortController();
	begin(question.action);
	show();
	announce("Writing.");
	try {
		const response = await call("answer", { action: question.action.name, text: question.text, cut: question.cut }, question.abort.signal);
		for await (const event of events(response.body)) take(question, event);
		if (!question.done && !question.tooLong) throw new Error("The answer was cut off.");
	} catch (e) {
		if (question.done) return; // all of it came before
		if (e.name === "AbortError" && question.said) {
			question.done = { answer: question.said.trim(), result: question.action.name === "continue" ? question.text + question.said.trimEnd() : question.said.trim(), edits: false, notice: "You stopped it here." };
			finish(question);
		} else if (e.name === "AbortError") {
			hideAnswer();
			announce("Stopped.");
		} else if (question.said) {
			byId("answerNotice").textContent = e.message;
			byId("answerNotice").hidden = false;
			question.done = { answer: question.said, result: question.said, edits: false };
			end(true);
			byId("replace").hidden = true;
			announce(e.message);
		} else {
			wrong(e instanceof Refused || !(e instanceof TypeError) ? e.message : "OpenELM was quit, or cannot be reached.");
		}
	} finally {
		if (running === question) running = null; // and not the next one
		show();
	}
}

function take(question, event) {
	if (event.error) throw new Error(event.error);
	if (event.piece) {
		const atEnd = answer.scrollHeight - answer.scrollTop - answer.clientHeight < 30;
		question.said += event.piece;
		answer.textContent = question.said.trimStart();
		if (atEnd) answer.scrollTop = answer.scrollHeight;
	}
	if (event.too_long) tooLong(question, event.too_long);
	if (event.done) {
		question.done = event.done;
		finish(question);
	}
}

function finish(question) {
	const d = question.done;
	answer.textContent = d.answer || "The model had nothing to say.";
	const notices = [d.notice, d.unfinished ? "It would have gone on: this is as long as an answer may be." : ""].filter(Boolean);
	byId("answerNotice").textContent = notices.join(" ");
	byId("answerNotice").hidden = notices.length === 0;
	byId("changes").hidden = !d.edits || !d.answer;
	byId("changes").setAttribute("aria-pressed", "false");
	end(Boolean(d.answer));
	const count = d.answer.split(/\s+/).filter(Boolean).length;
	announce(`${question.action.title}: ${count} words. ${notices.join(" ")}`);
	if (d.edits) {
		showChanges(true);
		answer.scrollTop = 0;
	}
}

// tooLong says what would be left out, before it is.
function tooLong(question, long) {
	question.tooLong = long;
	set("answerTitle", "This text is long");
	const words = long.kept.split(/\s+/).filter(Boolean);
	const part = long.end ? "end" : "beginning";
	const quoted = long.end ? `from “${words.slice(0, 8).join(" ")}…” on` : `up to “…${words.slice(-8).join(" ")}”`;
	answer.textContent = `It has ${long.tokens.toLocaleString()} tokens, and the model can read ${long.room.toLocaleString()} of them at once. ` +
		`It would read the ${part}, ${quoted}, and leave out the ${long.end ? "text before" : "rest"}: ${bytesOfText(long.left_out)}.`;
	byId("useBeginning").textContent = `Use the ${part}`;
	end(false);
	byId("again").hidden = true;
	byId("useBeginning").hidden = false;
	announce(answer.textContent);
}

function bytesOfText(n) { return n < 10e3 ? `${n.toLocaleString()} bytes` : `${Math.round(n / 1e3).toLocaleString()} kB`; }

function showChanges(on) {
	byId("changes").setAttribute("aria-pressed", String(on));
	if (!on) {
		answer.textContent = shown.done.answer;
		return;
	}
	const words = { removed: ["del", "removed: ", "; "], added: ["ins", "added: ", "; "] };
	answer.replaceChildren(...differences(shown.text.trim(), shown.done.answer).map(({ kind, text }) => {
		if (kind === "same") return document.createTextNode(text);
		const [name, before, after] = words[kind];
		const e = document.createElement(name);
		// Most screen readers say nothing of <ins> and <del> by themselves.
		e.append(unseen(before), text, unseen(after));
		return e;
	}));
}

function unseen(said) {
	const e = document.createElement("span");
	e.className = "unseen";
	e.textContent = said;
	return e;
}

function replace() {
	if (running || !shown?.done || byId("replace").hidden) return;
	const { whole, text: asked, done } = shown, value = text.value;
	let from = shown.from, to = shown.to;
	if (value !== whole) { // changed meanwhile: what was asked about may be elsewhere in it, or nowhere
		from = value.indexOf(asked);
		to = from + asked.length;
		if (from < 0) [from, to] = asked === whole ? [0, value.length] : [text.selectionStart, text.selectionEnd];
	}
	replaceText(value.slice(0, from) + done.result + value.slice(to));
	hideAnswer();
	announce("Replaced.");
	text.focus();
	text.setSelectionRange(from, from + done.result.length);
}

async function copy() {
	if (!shown?.done || byId("copy").hidden) return;
	try {
		await navigator.clipboard.writeText(shown.done.answer);
	} catch { // a web view that has no permission to
		const range = document.createRange();
		answer.textContent = shown.done.answer;
		range.selectNodeContents(answer);
		getSelection().removeAllRanges();
		getSelection().addRange(range);
		document.execCommand("copy");
	}
	announce("Copied.");
	set("note", "Copied.");
}

function stop() { running?.abort.abort(); }

function again() {
	if (!running && shown && !byId("again").hidden) run(shown.action, { ...shown, tooLong: null });
}

function useBeginning() { run(shown.action, { ...shown, tooLong: null, cut: true }); }

// Buttons and keys.

for (const action of actions) {
	const b = document.createElement("button");
	b.type = "button";
	b.id = action.name;
	b.disabled = true;
	b.append(action.label);
	const key = document.createElement("kbd");
	key.textContent = action.key === "Enter" ? "↵" : action.key;
	key.setAttribute("aria-hidden", "true");
	b.append(key);
	b.setAttribute("aria-keyshortcuts", action.key === "Enter" ? "Control+Enter Meta+Enter" : ariaKey(action.key));
	b.title = `${action.what ? action.label + ": " + action.what : action.label} (${action.key === "Enter" ? (mac ? "⌘↵" : "Ctrl+↵") : alt(action.key)})`;
	b.addEventListener("click", () => run(action));
	byId("actions").append(b);
}
byId("ask").classList.add("main");

const others = { Enter: replace, K: copy, A: again, Z: undoText, Y: redoText, V: () => { if (!byId("changes").hidden) byId("changes").click(); } };
for (const [id, key] of Object.entries({ replace: "Enter", copy: "K", again: "A", undo: "Z", redo: "Y", changes: "V" })) {
	byId(id).setAttribute("aria-keyshortcuts", ariaKey(key));
	const kbd = byId(id).querySelector("kbd");
	if (kbd) kbd.textContent = alt(key);
}
byId("changes").title = `Show what was changed (${alt("V")})`;

document.addEventListener("keydown", (e) => {
	if (document.querySelector("dialog[open]") || e.isComposing) return;
	const inActions = byId("actions").contains(document.activeElement);
	if (e.key === "Escape") {
		if (!running && card.hidden && inActions) return; // whoever shows the page may close it
		e.preventDefault();
		if (running) stop();
		else if (!card.hidden) { hideAnswer(); text.focus(); }
		else byId("actions").querySelector("[tabindex='0']").focus();
		return;
	}
	if (e.key === "Enter" && (e.ctrlKey || e.metaKey) && !e.altKey) {
		e.preventDefault();
		run(actions.at(-1));
		return;
	}
	if (e.ctrlKey || e.shiftKey || e.metaKey !== (mac && e.altKey)) return;
	if (!e.altKey && !((inActions || card.contains(document.activeElement)) && e.key !== "Enter")) return;
	// With Alt a Mac's keys have other characters: what counts is the key, or the letter.
	const letter = /^[a-z]$/i.test(e.key) ? e.key.toUpperCase() : e.code.replace("Key", "");
	const action = actions.find((a) => a.key === letter && a.key !== "Enter");
	if (action) {
		e.preventDefault();
		run(action);
	} else if (others[letter] && e.altKey) {
		e.preventDefault();
		others[letter]();
	}
});

// The actions are one stop of the Tab key; arrows move among them.
byId("actions").addEventListener("keydown", (e) => {
	const list = [...byId("actions").children], at = list.indexOf(document.activeElement);
	const step = { ArrowRight: 1, ArrowDown: 4, ArrowLeft: -1, ArrowUp: -4 }[e.key];
	if (!step || at < 0) return;
	e.preventDefault();
	list[(at + step + list.length) % list.length].focus();
});
byId("actions").addEventListener("focusin", (e) => {
	for (const b of byId("actions").children) b.tabIndex = b === e.target ? 0 : -1;
});
[...byId("actions").children].forEach((b, i) => { b.tabIndex = i ? -1 : 0; });

for (const [id, f] of Object.entries({ stop, replace, copy, again, useBeginning, undo: undoText, redo: redoText })) byId(id).addEventListener("click", f);
byId("dismiss").addEventListener("click", () => { hideAnswer(); text.focus(); });
byId("changes").addEventListener("click", () => showChanges(byId("changes").getAttribute("aria-pressed") !== "true"));

const keyList = [...actions.map((a) => [a.label, a.key === "Enter" ? (mac ? "⌘↵" : "Ctrl+↵") : alt(a.key)]),
	["Replace the text", alt("Enter")], ["Copy", alt("K")], ["Again", alt("A")], ["Changes", alt("V")], ["Undo", alt("Z")], ["Redo", alt("Y")], ["Stop, close the answer, go to the actions", "Esc"]];
byId("keys").replaceChildren(...keyList.flatMap(([label, key]) => {
	const dt = document.createElement("dt"), dd = document.createElement("dd"), kbd = document.createElement("kbd");
	kbd.textContent = key;
	dt.textContent = label;
	dd.append(kbd);
	return [dt, dd];
}));

// Models.

async function say(where, work) {
	try {
		await work();
		set(where, "");
		return true;
	} catch (e) {
		set(where, e.message);
		return false;
	}
}

async function showModels() {
	byId("models").showModal();
	await say("modelsNote", async () => {
		const list = await (await call("models")).json();
		list.unshift({ name: "", bytes: 8.5e6, what: "inside the program; only tells short tales", here: true });
		byId("modelList").replaceChildren(...list.map((m) => {
			const li = document.createElement("li"), b = document.createElement("button"), what = document.createElement("small"), size = document.createElement("span");
			b.type = "button";
			b.dataset.name = m.name;
			what.textContent = m.what || (m.here ? "on this computer" : "");
			size.className = "size";
			size.textContent = m.here ? bytes(m.bytes) : "get " + bytes(m.bytes);
			b.append(m.name ? m.name.replace(/^apple\//, "") : "Story model", what, size);
			b.addEventListener("click", () => choose(m.name));
			li.append(b);
			return li;
		}));
		show();
	});
}

async function choose(name) {
	if (await say("modelsNote", () => call("model", { name }))) {
		byId("models").close();
		text.focus();
	}
}

byId("showModels").addEventListener("click", showModels);
byId("choose").addEventListener("click", showModels);
byId("otherModel").addEventListener("submit", (e) => {
	e.preventDefault();
	const name = byId("otherName").value.trim();
	if (name) choose(name);
});
byId("adapterForm").addEventListener("submit", (e) => {
	e.preventDefault();
	say("modelsNote", () => call("settings", { adapter: byId("adapter").value.trim() }));
});
byId("temperature").addEventListener("change", () => say("modelsNote", () => call("settings", { temperature: Number(byId("temperature").value) })));
byId("ownTemperature").addEventListener("click", () => say("modelsNote", () => call("settings", { temperature: null })));
byId("pause").addEventListener("click", () => call("download/pause", {}).catch(() => {}));
byId("resume").addEventListener("click", () => call("model", { name: now.state.download }).catch(() => {}));
byId("forgetDownload").addEventListener("click", () => { call("download/forget", {}).catch(() => {}); text.focus(); });

// Settings and history.

byId("showSettings").addEventListener("click", () => byId("settings").showModal());
for (const box of document.querySelectorAll("#settings [type=checkbox]")) {
	box.addEventListener("change", async () => {
		if (!await say("settingsNote", () => call("settings", { [box.id]: box.checked }))) show();
	});
}
byId("idle").addEventListener("change", () => say("settingsNote", () => call("settings", { idle_time: Number(byId("idle").value) * 1e9 })));
byId("unload").addEventListener("click", () => say("settingsNote", () => call("unload", {})));

async function showHistory() {
	byId("history").showModal();
	const list = await (await call("history")).json();
	byId("forget").disabled = list.length === 0;
	byId("historyList").replaceChildren(...list.reverse().map((e) => {
		const li = document.createElement("li"), b = document.createElement("button");
		const line = (name, className, said) => {
			const s = document.createElement(name);
			s.className = className;
			s.dir = "auto";
			s.textContent = said;
			return s;
		};
		const action = actions.find((a) => a.name === e.action);
		const time = new Date(e.time).toLocaleTimeString([], { hour: "numeric", minute: "2-digit" });
		b.type = "button";
		b.append(line("small", "", `${time} · ${action?.label ?? e.action}${e.whole ? "" : " · not finished"}`), line("span", "asked", e.text.slice(0, 300)), line("span", "said", e.answer.slice(0, 300)));
		b.addEventListener("click", () => recall(e, action ?? actions.at(-1)));
		li.append(b);
		return li;
	}));
	if (!list.length) {
		const li = document.createElement("li");
		li.className = "hint";
		li.textContent = "Nothing yet.";
		byId("historyList").append(li);
	}
}

// recall brings a text and its answer back.
function recall(e, action) {
	byId("history").close();
	if (running) return;
	if (text.value && text.value !== e.text) replaceText(e.text); else text.value = e.text;
	shown = { action, whole: e.text, from: 0, to: e.text.length, text: e.text, cut: false };
	begin(action);
	shown.done = { answer: e.answer, result: e.result || e.answer, edits: false };
	finish(shown);
	show();
	text.focus();
}

byId("showHistory").addEventListener("click", () => showHistory().catch(() => {}));
byId("forget").addEventListener("click", async () => {
	await call("history/forget", {}).catch(() => {});
	byId("history").close();
	text.focus();
});

open().catch(() => lost("OpenELM cannot be reached.", true));
