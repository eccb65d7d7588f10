// What was changed between two texts, word by word.

const segmenter = globalThis.Intl?.Segmenter ? new Intl.Segmenter(undefined, { granularity: "word" }) : null;

function words(text) {
	if (segmenter) return Array.from(segmenter.segment(text), (s) => s.segment);
	return text.match(/\s+|[\p{L}\p{N}\p{M}]+|./gsu) ?? [];
}

// maxCells bounds the table of a comparison. Between longer texts only what they
// begin and end with is found to be the same.
const maxCells = 4e6;

// differences is a list of { kind: "same" | "removed" | "added", text } that spells
// before without what was added, and after without what was removed.
export function differences(before, after) {
	const a = words(before), b = words(after);
	let first = 0, enda = a.length, endb = b.length;
	while (first < enda && first < endb && a[first] === b[first]) first++;
	while (enda > first && endb > first && a[enda - 1] === b[endb - 1]) { enda--; endb--; }
	const list = [];
	const add = (kind, text) => {
		if (!text) return;
		const last = list.at(-1);
		if (last?.kind === kind) last.text += text;
		else list.push({ kind, text });
	};
	add("same", a.slice(0, first).join(""));
	const middle = between(a.slice(first, enda), b.slice(first, endb));
	// Within a change, what was removed comes first, white space between two
	// changes included: one change is easier to read than two.
	let removed = "", added = "";
	const flush = () => { add("removed", removed); add("added", added); removed = added = ""; };
	middle.forEach(([kind, word], i) => {
		if (kind === "removed") removed += word;
		else if (kind === "added") added += word;
		else if (!word.trim() && (removed || added) && i + 1 < middle.length && middle[i + 1][0] !== "same") { removed += word; added += word; } else { flush(); add("same", word); }
	});
	flush();
	add("same", a.slice(enda).join(""));
	return list;
}

// between is the shortest list of words that are kept, removed and added.
function between(a, b) {
	const out = [];
	const width = b.length + 1;
	if (a.length * b.length > maxCells) {
		return [...a.map((w) => ["removed", w]), ...b.map((w) => ["added", w])];
	}
	// common[i*width+j] is how many words a from i and b from j have in common.
	const common = new Uint32Array((a.length + 1) * width);
	for (let i = a.length - 1; i >= 0; i--) {
		for (let j = b.length - 1; j >= 0; j--) {
			common[i * width + j] = a[i] === b[j] ? common[(i + 1) * width + j + 1] + 1
				: Math.max(common[(i + 1) * width + j], common[i * width + j + 1]);
		}
	}
	let i = 0, j = 0;
	while (i < a.length || j < b.length) {
		if (i < a.length && j < b.length && a[i] === b[j]) { out.push(["same", a[i]]); i++; j++; } else if (j >= b.length || i < a.length && common[(i + 1) * width + j] >= common[i * width + j + 1]) out.push(["removed", a[i++]]);
		else out.push(["added", b[j++]]);
	}
	return out;
}
