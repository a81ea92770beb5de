// The page: what is chosen, what is shown, and what a click or a key does. Nothing here decides a rule of the game.

import * as api from "./api.js";
import { BoxEditor } from "./box.js";
import { make, marks, outcome, plural, results, spoken, turnList } from "./show.js";

const $ = (id) => document.getElementById(id);
const PAUSE = 1600; // milliseconds between the turns of a policy that plays on
const KEPT = "gog-episode"; // where a tab keeps the name of its episode, so that it survives a reload

let here; // what the server has: tasks, players, runs
let mode = "play";
let state = null; // the episode, as the server told it last
let shown = 0; // how many of its turns are shown; all of them but when watching
let selected = -1; // the turn whose results are shown
let busy = false;
let typing = false;
let timer = null;
let left = null; // the name of an episode that was left for another tab before its end

const editor = new BoxEditor($("stage"), $("box"), boxChanged, () => $("gaze").requestSubmit());
const edges = ["x0", "y0", "x1", "y1"].map((name) => $("gaze").elements[name]);

// -- saying things

function complain(message) {
  $("notice").hidden = !message;
  $("notice").querySelector("p").textContent = message || "";
  if (message) $("notice").scrollIntoView({ block: "nearest" });
}

const say = (text) => { $("said").textContent = text; };

// Asks the server one thing at a time; what it refuses is shown and changes nothing.
async function asking(call) {
  if (busy) return undefined;
  busy = true;
  document.body.setAttribute("aria-busy", "true");
  complain("");
  try {
    return await call();
  } catch (error) {
    stop();
    if (error.status === 401 && $("door").hidden) lock();
    else complain(error.message);
    return undefined;
  } finally {
    busy = false;
    document.body.removeAttribute("aria-busy");
  }
}

function lock() {
  for (const id of ["choose", "bring", "table"]) $(id).hidden = true;
  $("door").hidden = false;
  $("door").elements.token.focus();
}

// -- choosing

const chooser = $("choose").elements;
const option = (value, text) => make("option", { value, text });

function fillChooser() {
  const players = here.players.map((name) => option(`player:${name}`, name));
  const runs = here.runs.map((run) => option(`run:${run.name}`, `${run.name}, recorded`));
  chooser.who.replaceChildren(...runs, ...(here.tasks ? players : []));
  $("bring").elements.who.replaceChildren(option("", "You"), ...here.players.map((name) => option(name, name)));
}

const watched = () => {
  const [kind, ...name] = mode === "watch" ? chooser.who.value.split(":") : [""];
  return { player: kind === "player" ? name.join(":") : "", run: kind === "run" ? name.join(":") : "" };
};

function fillKinds() {
  const { run } = watched();
  const of = run ? here.runs.find((one) => one.name === run) : here.tasks;
  const before = chooser.kind.value;
  const kinds = Object.entries(of?.kinds || {});
  chooser.kind.replaceChildren(option("", `all (${of?.count ?? 0})`),
    ...kinds.map(([kind, count]) => option(kind, `${kind.replaceAll("_", " ")} (${count})`)));
  chooser.kind.value = kinds.some(([kind]) => kind === before) ? before : "";
  $("only-label").hidden = !run;
  if (!run) chooser.only.value = "";
}

function setMode(to) {
  mode = to;
  stop();
  for (const tab of document.querySelectorAll(".tab")) tab.setAttribute("aria-pressed", String(tab.dataset.mode === to));
  $("choose").hidden = to === "own" || (to === "play" && !here.tasks);
  $("bring").hidden = to !== "own";
  $("who-label").hidden = to !== "watch";
  if (to !== "own") fillKinds();
}

function start(number, task = null) {
  const { player, run } = watched();
  if (mode === "play") left = null;
  const wanted = { player, run, kind: chooser.kind.value, only: run ? chooser.only.value : "", number, task };
  return asking(async () => open(await api.begin(wanted)));
}

function open(found) {
  state = found;
  sessionStorage.setItem(KEPT, JSON.stringify([state.session, mode]));
  shown = watching() ? 0 : state.turns.length;
  selected = shown - 1;
  if (state.place) {
    chooser.number.value = state.place.number;
    chooser.number.max = state.place.of;
    $("of").textContent = `of ${state.place.of}`;
  }
  $("bring").hidden = true;
  $("table").hidden = false;
  $("picture").src = api.pictureOf(state.session);
  $("picture").alt = `The picture of the task, ${state.picture.width} by ${state.picture.height} pixels`;
  $("picture").width = state.picture.width;
  $("picture").height = state.picture.height;
  $("stage").style.setProperty("--aspect", state.picture.width / state.picture.height);
  $("stage").style.setProperty("--widest", `${Math.max(800, state.picture.width)}px`);
  editor.set(null);
  for (const form of ["search", "answer"]) $(form).reset();
  const from = document.activeElement;
  render();
  if (from?.closest("#outcome, #bring")) $("question").focus(); // what had the focus is gone
  say(`${state.question} ${plural(state.turns_left, "turn")} left.`);
}

// -- showing

const watching = () => Boolean(state && (state.player || state.run));
const over = () => state.done && shown === state.turns.length;

function render() {
  const used = Math.min(shown, state.turns.length), most = state.rules.max_turns;
  $("name").textContent = state.place ? `Task ${state.task}` : "Your picture";
  $("left-over").replaceChildren(
    `Turn ${Math.min(used + (over() ? 0 : 1), most)} of ${most} `,
    make("span", { className: "dots", text: "●".repeat(used) + "○".repeat(Math.max(0, most - used)), ariaHidden: "true" }));
  $("question").textContent = state.question;
  $("marks").replaceChildren(...marks(state, shown, selected));
  const found = results(state, selected, watching() ? "Its" : "Your", here.fingerprint, compare);
  $("results").replaceChildren(...found);
  $("results").hidden = !found.length;
  $("turns").replaceChildren(...turnList(state, shown, selected, select));
  $("past").hidden = !used;
  for (const id of ["acting", "words", "keys"]) $(id).hidden = watching() || state.done;
  $("stage").tabIndex = watching() || state.done ? -1 : 0; // nothing can be drawn
  $("watching").hidden = !watching();
  editor.enable(!watching() && !state.done);
  $("back").setAttribute("aria-disabled", String(shown === 0));
  $("forth").setAttribute("aria-disabled", String(over()));
  $("run").setAttribute("aria-disabled", String(over()));
  const who = state.run ? `Recorded in ${state.run}.` : `${state.player} plays.`;
  $("watch-note").textContent = [who, ...state.notes].join(" ");
  $("outcome").hidden = !over();
  if (over()) {
    const [parts, look] = outcome(state, nextSteps());
    $("outcome").className = `outcome ${look}`;
    $("outcome").replaceChildren(...parts);
  }
}

function nextSteps() {
  const task = state.task;
  if (!state.place) return [["Another picture", () => setMode("own")]];
  const number = state.place.number;
  const steps = [];
  if (number < state.place.of) steps.push([watching() ? "Next one" : "Next task", () => start(number + 1)]);
  if (watching()) steps.push(["Play it yourself", () => { setMode("play"); start(null, task); }]);
  else {
    steps.push(["Try again", () => start(null, task)]);
    if (here.players.length) steps.push(["Watch a policy play it", () => { setMode("watch"); showPlayers(); start(null, task); }]);
  }
  return steps;
}

// A live player, where a recorded run was chosen: a run has not played every task.
function showPlayers() {
  if (!chooser.who.value.startsWith("player:")) chooser.who.value = `player:${here.players[0]}`;
  fillKinds();
}

function select(place) {
  selected = place;
  render();
  $("turns").querySelectorAll("button")[place]?.focus();
}

function boxChanged(box) {
  if (typing) return;
  edges.forEach((input, place) => { input.value = box ? box[place].toFixed(2) : ""; });
}

// -- acting

async function take(action) {
  const found = await asking(() => api.act(state.session, state.turns.length, action));
  if (!found) return false;
  arrived(found);
  if (action.type === "gaze" && $("comparing").checked && !state.whole) await compare();
  return true;
}

function arrived(found) {
  state = found;
  shown = state.turns.length;
  selected = shown - 1;
  render();
  const turn = state.turns[selected];
  const end = over() ? ` ${$("outcome").querySelector("h3").textContent}.` : ` ${plural(state.turns_left, "turn")} left.`;
  say(spoken(turn) + end);
  if (over()) $("outcome").focus({ preventScroll: true });
  if (matchMedia("(max-width: 860px)").matches) (over() ? $("outcome") : $("results")).scrollIntoView({ block: "start" });
}

async function compare() {
  const found = await asking(() => api.compare(state.session));
  if (!found) return;
  state = found;
  render();
}

// -- watching

function stop() {
  clearTimeout(timer);
  timer = null;
  $("run").textContent = "Play on";
}

async function forth() {
  if (!state || over()) return stop();
  if (shown < state.turns.length) {
    shown += 1;
    selected = shown - 1;
    render();
    say(spoken(state.turns[selected]));
  } else {
    const found = await asking(() => api.play(state.session, state.turns.length));
    if (!found) return undefined;
    arrived(found);
  }
  const { type } = state.turns[selected].action;
  if (type === "gaze" && !state.whole && here.documents) await compare();
  if (over()) stop();
  return undefined;
}

function back() {
  stop();
  if (!shown) return;
  shown -= 1;
  selected = shown - 1;
  render();
}

async function playOn() {
  await forth();
  if (timer !== null) timer = over() ? null : setTimeout(playOn, PAUSE);
}

async function goOn() {
  const found = await asking(() => api.show(left));
  left = null;
  if (found) open(found);
  else start(1);
}

// -- wiring

function onSubmit(id, call) {
  $(id).addEventListener("submit", (event) => {
    event.preventDefault();
    call($(id).elements);
  });
}

onSubmit("gaze", () => {
  if (!editor.box) complain("Draw a box on the picture first, or type its four edges: left below right, top below bottom.");
  else take({ type: "gaze", box: editor.box });
});
onSubmit("search", async ({ text }) => {
  if (!text.value.trim()) complain("Type what to search for.");
  else if (await take({ type: "search", query: text.value })) text.select();
});
onSubmit("answer", async ({ text }) => {
  if (!text.value.trim()) complain("Type your answer.");
  else await take({ type: "answer", text: text.value });
});
onSubmit("choose", ({ number }) => start(Number(number.value)));
onSubmit("door", async ({ token }) => {
  if (await asking(() => api.enter(token.value))) {
    token.value = "";
    $("door").hidden = true;
    await begin();
  }
});
onSubmit("bring", ({ file, question, who }) => {
  const picture = file.files[0];
  if (!picture) complain("Choose a picture first.");
  else if (picture.size > here.limits.upload) complain(`${picture.name} has more than ${here.limits.upload / 2 ** 20} MiB; choose a smaller picture.`);
  else asking(async () => open(await api.own(picture, question.value, who.value)));
});

$("glance").addEventListener("click", () => take({ type: "glance" }));
$("forth").addEventListener("click", () => { stop(); forth(); });
$("back").addEventListener("click", back);
$("run").addEventListener("click", () => {
  if (timer !== null) return stop();
  if (over()) return undefined;
  timer = 0;
  $("run").textContent = "Pause";
  return playOn();
});
$("notice").querySelector("button").addEventListener("click", () => complain(""));
for (const tab of document.querySelectorAll(".tab")) {
  tab.addEventListener("click", () => {
    if (busy) return complain("One moment: the last click is still being answered.");
    if (mode === "play" && state?.place && !state.done && state.turns.length) left = state.session;
    setMode(tab.dataset.mode);
    $("table").hidden = true;
    if (mode === "own") $("bring").elements.file.focus();
    else if (mode === "watch" && !chooser.who.value) complain("Nobody can be watched here: no player is installed, and no --run was given.");
    else if (mode === "play" && left) goOn();
    else if (!$("choose").hidden) start(state?.place && !watched().run ? state.place.number : 1);
    return undefined;
  });
}
for (const name of ["who", "kind", "only"]) {
  chooser[name].addEventListener("change", () => {
    if (name === "who") fillKinds();
    start(name === "who" && !watched().run && state?.place ? Math.min(state.place.number, Number(chooser.number.max)) : 1);
  });
}
chooser.number.addEventListener("change", () => start(Number(chooser.number.value)));
for (const [button, step] of [[chooser.previous, -1], [chooser.next, 1]]) {
  button.addEventListener("click", () => {
    const number = Number(chooser.number.value) + step;
    if (number >= 1 && number <= Number(chooser.number.max)) start(number);
    else complain(step < 0 ? "This is the first one." : "This is the last one.");
  });
}
chooser.random.addEventListener("click", () => start(null));
for (const input of edges) {
  input.addEventListener("input", () => {
    const box = edges.map((one) => (one.value === "" ? NaN : Number(one.value)));
    const fits = box.every((edge) => edge >= 0 && edge <= 1) && box[0] < box[2] && box[1] < box[3];
    typing = true; // what is half typed stays as it is
    editor.set(fits ? box : null);
    typing = false;
  });
}

const drop = $("drop");
for (const [name, over_] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", over_);
    if (name === "drop" && event.dataTransfer.files.length) {
      $("bring").elements.file.files = event.dataTransfer.files;
      fileChosen();
    }
  });
}
function fileChosen() {
  $("file-name").textContent = $("bring").elements.file.files[0]?.name || "Choose a picture, or drop one here";
}
$("bring").elements.file.addEventListener("change", fileChosen);
addEventListener("resize", () => editor.draw());

// -- beginning

async function begin() {
  here = await asking(api.facts);
  if (!here) return;
  $("place").textContent = `${here.name} · ${here.documents.toLocaleString("en")} documents`;
  for (const form of ["search", "answer"]) $(form).elements.text.maxLength = here.limits.text;
  $("bring").elements.question.maxLength = here.limits.question;
  fillChooser();
  const wanted = new URLSearchParams(location.hash.slice(1)).get("task");
  const [kept, before] = JSON.parse(sessionStorage.getItem(KEPT) || "[]");
  if (kept && !wanted) {
    try {
      const found = await api.show(kept);
      setMode(before);
      if (found.run || found.player) chooser.who.value = found.run ? `run:${found.run}` : `player:${found.player}`;
      open(found);
      return;
    } catch { /* it is not kept any more: begin anew */ }
  }
  setMode(here.tasks ? "play" : "own");
  if (here.tasks) await start(wanted ? null : 1, wanted);
}

begin();
