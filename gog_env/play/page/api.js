// Talks to the server: every answer is an object, every refusal an Error with one line that says what to do.

export class Refusal extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Refusal("The server does not answer. Is python -m gog_env.play still running?", 0);
  }
  let found;
  try {
    found = await answer.json();
  } catch {
    throw new Refusal(`The server answered with status ${answer.status}; see its log.`, answer.status);
  }
  if (!answer.ok) throw new Refusal(found.error || `The server answered with status ${answer.status}.`, answer.status);
  return found;
}

const sent = (path, fields) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(fields) });
const episode = (id) => `/api/episodes/${encodeURIComponent(id)}`;

export const facts = () => ask("/api/facts");
export const enter = (token) => sent("/api/enter", { token });
export const begin = (start) => sent("/api/episodes", start);
export const show = (id) => ask(episode(id));
export const act = (id, turn, action) => sent(`${episode(id)}/act`, { turn, action });
export const play = (id, turn) => sent(`${episode(id)}/play`, { turn });
export const compare = (id) => sent(`${episode(id)}/compare`, {});
export const own = (file, question, player) =>
  ask(`/api/own?${new URLSearchParams({ question, player })}`, {
    method: "POST",
    headers: { "Content-Type": file.type || "application/octet-stream" },
    body: file,
  });

export const pictureOf = (id) => `${episode(id)}/picture`;
export const lookOf = (id, number) => `${episode(id)}/looks/${number}`;
export const recordOf = (id) => `${episode(id)}/trajectory`;
// `index`: its fingerprint, because browsers keep thumbnails for an hour, and another index may have the same ids.
export const thumbnailOf = (picture, index) => `/api/thumbnail?${new URLSearchParams({ id: picture, index })}`;
