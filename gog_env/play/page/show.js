// Makes elements out of an episode's state. Whatever comes from tasks, documents or people becomes text, never HTML.

import { lookOf, pictureOf, recordOf, thumbnailOf } from "./api.js";

// Those of gog_env/lettering.py, the last ones darkened for white numerals.
const COLOURS = ["#0072b2", "#c14f00", "#007a59", "#a94a7f", "#8a6200", "#2f74a6", "#6b5bb5", "#5c6370"];
export const colourOf = (place) => COLOURS[place % COLOURS.length];

export function make(name, { text, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  if (text !== undefined) element.textContent = text;
  element.append(...children.filter(Boolean));
  return element;
}

const plural = (count, what) => `${count} ${what}${count === 1 ? "" : what.endsWith("h") ? "es" : "s"}`;
const number = (value) => String(Math.round(value * 1000) / 1000).replace("-", "−");

export function badge(place) {
  const found = make("span", { className: "badge", text: String(place + 1) });
  found.style.setProperty("--mark", colourOf(place));
  return found;
}

export function described(action) {
  if (action.type === "gaze") return ["Gaze", action.box.map((edge) => edge.toFixed(2)).join(", ")];
  if (action.type === "search") return ["Search", `“${action.query}”`];
  if (action.type === "answer") return ["Answer", `“${action.text}”`];
  return [action.type === "glance" ? "Glance" : "Not an action", ""];
}

export function brought(turn) {
  if (turn.action.type === "answer") return "";
  if (turn.error) return `${turn.error}: a turn lost, and the format reward`;
  return turn.hits.map((hit) => hit.title).join(", ") || "No results";
}

// Frames on the picture: every look in its turn's colour, and at the end where the answer was to be found.
export function marks(state, shown, selected) {
  const all = [];
  let glances = 0;
  state.turns.slice(0, shown).forEach(({ action }, place) => {
    let box = action.box;
    if (action.type === "glance") {
      const inset = 0.006 + 0.012 * glances++;
      box = [inset, inset, 1 - inset, 1 - inset];
    }
    if (action.type !== "gaze" && action.type !== "glance") return;
    const faded = selected !== place && shown > 1 ? " faded" : "";
    const mark = framed(box, `mark${box[1] < 0.09 ? " low" : ""}${faded}`, make("b", { text: String(place + 1) }));
    mark.style.setProperty("--mark", colourOf(place));
    all.push(mark);
  });
  if (state.done && shown === state.turns.length) {
    for (const region of state.regions || []) all.push(framed(region, "mark gold"));
  }
  return all;
}

function framed([x0, y0, x1, y1], className, child) {
  const mark = make("div", { className }, child);
  Object.assign(mark.style, {
    left: `${x0 * 100}%`, top: `${y0 * 100}%`, width: `${(x1 - x0) * 100}%`, height: `${(y1 - y0) * 100}%`,
  });
  return mark;
}

function hitList(hits, cosine, index) {
  if (!hits.length) return make("p", { className: "quiet", text: "No results." });
  return make("ol", { className: "hits" }, ...hits.map((hit) => {
    const thumb = make("span", { className: hit.picture ? "thumb" : "thumb none" });
    if (hit.picture) thumb.append(make("img", { src: thumbnailOf(hit.picture, index), alt: "", loading: "lazy" }));
    const score = cosine ? `similarity ${hit.score.toFixed(3)}` : `score ${hit.score.toFixed(2)}`;
    return make("li", { className: "hit" }, thumb, make("span", {},
      make("strong", { text: `${hit.rank}. ${hit.title}` }), make("span", { className: "quiet", text: score })));
  }));
}

function column(title, source, alt, hits, index) {
  return make("div", { className: "column" }, make("h4", { text: title }),
    make("figure", {}, make("img", { src: source, alt })), hitList(hits, true, index));
}

const RULES = [
  ["Gaze", "draw a box around what the question is about, and search with the crop"],
  ["Glance", "search with the whole picture"],
  ["Search", "search the texts with words"],
  ["Answer", "once, at the end: a name, a number, a short phrase"],
];

function beginning({ player, run, rules }) {
  if (player || run) {
    return [make("h3", { text: "What was found" }),
      make("p", { className: "quiet", text: "Nothing yet. Go to the next turn, or let it play on." })];
  }
  const list = RULES.map(([name, text]) => make("li", {}, make("strong", { text: name }), `: ${text}`));
  return [make("h3", { text: `You have ${plural(rules.max_turns, "turn")}` }), make("ul", { className: "rules" }, ...list)];
}

// What the selected turn brought. `whose` is "Your" or "Its"; `index` its fingerprint; `compare` is called when the
// comparison is asked for.
export function results(state, place, whose, index, compare) {
  if (place < 0) return beginning(state);
  const turn = state.turns[place];
  const [name, detail] = described(turn.action);
  const head = make("h3", {}, badge(place), " ", name, " ", make("span", { className: "quiet", text: detail }));
  const thought = turn.action.thought ? make("p", { className: "thought", text: turn.action.thought }) : null;
  if (turn.error) return [head, thought, make("p", { text: brought(turn) })].filter(Boolean);
  if (turn.action.type === "answer") return thought ? [head, thought] : [];
  const parts = [head, thought];
  if (turn.action.type === "gaze") {
    const crop = column(`${whose} crop finds`, lookOf(state.session, place + 1), "The crop", turn.hits, index);
    let whole;
    if (state.whole) {
      whole = column("Whole picture finds", pictureOf(state.session), "The whole picture", state.whole, index);
    } else {
      const button = make("button", { type: "button", text: "Compare with the whole picture", onclick: compare });
      whole = make("div", { className: "column" }, make("h4", { text: "Whole picture finds" }), button);
    }
    parts.push(make("div", { className: "columns" }, crop, whole));
  } else if (turn.action.type === "glance") {
    const whole = column("Whole picture finds", pictureOf(state.session), "The whole picture", turn.hits, index);
    parts.push(make("div", { className: "columns one" }, whole));
  } else {
    parts.push(make("div", { className: "columns one" }, make("div", { className: "column" }, hitList(turn.hits, false, index))));
  }
  for (const hit of turn.hits.filter((one) => one.text)) {
    const title = make("h4", { text: `${hit.rank}. ${hit.title}` });
    parts.push(make("div", { className: "says" }, title, make("p", { text: hit.text })));
  }
  parts.push(make("details", {}, make("summary", { text: "What a model reads here" }), make("pre", { text: turn.text })));
  return parts.filter(Boolean);
}

function verdict(state) {
  if (state.truncated) return ["Out of turns", "bad"];
  if (!state.scored) return ["Answered", ""];
  const { accuracy } = state.reward;
  if (accuracy > 0 && accuracy < 1) return [`Partly right: ${number(accuracy)}`, "good"];
  return accuracy ? ["Correct", "good"] : ["Wrong", "bad"];
}

// How an episode ended, and what to do next: `next` is a list of [label, function].
export function outcome(state, next) {
  const [words, className] = verdict(state);
  const parts = [make("h3", { text: state.scored ? `${words} · reward ${number(state.reward.total)}` : words })];
  if (!state.scored) {
    parts.push(make("p", { text: "There is no gold answer to your own picture, so there is no score." }));
  } else {
    const gold = [...new Set(state.answers)];
    parts.push(make("p", {}, "Gold answer: ", make("strong", { text: gold[0] }),
      gold.length > 1 ? ` (or ${gold.slice(1, 6).join(", ")}${gold.length > 6 ? ", …" : ""})` : ""));
    const facts = [["accuracy", state.reward.accuracy], ["format", state.reward.format]];
    facts.push(["searches", state.reward.calls]);
    if (state.reward.cost) facts.push(["cost", state.reward.cost]);
    facts.push(["reward", state.reward.total]);
    parts.push(make("dl", {}, ...facts.map(([name, value]) =>
      make("div", {}, make("dt", { text: name }), make("dd", { text: number(value) })))));
    if (state.evidence.length) {
      const told = state.evidence.map((one) => `${one.title} (${one.found ? "found" : "not found"})`).join(", ");
      parts.push(make("p", { text: `Needed: ${told}` }));
    }
    if (state.kind) parts.push(make("p", { text: `Kind of task: ${state.kind.replaceAll("_", " ")}` }));
    if (state.helped) {
      parts.push(make("p", { text: "The comparison showed what the whole picture finds; a policy would have paid a turn for it." }));
    }
  }
  const buttons = next.map(([label, call], place) =>
    make("button", { type: "button", className: place ? "" : "main", text: label, onclick: call }));
  const record = make("a", { href: recordOf(state.session), download: "episode.jsonl", text: "Save the episode" });
  parts.push(make("div", { className: "row" }, ...buttons, record));
  return [parts, className];
}

export function turnList(state, shown, selected, select) {
  return state.turns.slice(0, shown).map((turn, place) => {
    const [name, detail] = described(turn.action);
    const button = make("button", { type: "button", onclick: () => select(place) },
      badge(place), make("span", {}, make("strong", { text: name }), ` ${detail}`));
    const told = brought(turn);
    if (told) button.append(make("span", { className: "quiet brought", text: told }));
    if (place === selected) button.setAttribute("aria-current", "true");
    return make("li", {}, button);
  });
}

// One sentence for those who do not see the page.
export function spoken(turn) {
  const [name, detail] = described(turn.action);
  if (turn.error) return `${turn.error}.`;
  if (turn.action.type === "answer") return `${name} ${detail}.`;
  const found = turn.hits.map((hit) => `${hit.rank}. ${hit.title}`).join("; ");
  return `${name} ${detail} found ${found || "nothing"}.`;
}

export { plural };
