// The page's behaviour. Texts of documents and visitors are only ever put in as text, never as HTML: `make` is the one
// way in which anything gets onto the page, and the content security policy forbids the others.
"use strict";

const $ = (id) => document.getElementById(id);

/** An element with attributes (or handlers, as `onclick`) and children, which are elements or plain text. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

const percent = (share) => `${Math.round(100 * share)} % sure`;
const seconds = (value) => `${value.toFixed(2)} s`;
const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

// Requests

async function send(method, path, body) {
  const headers = body ? { "content-type": "application/json" } : {};
  const token = sessionStorage.getItem("token");
  if (token) headers.authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  } catch {
    throw new Error("the service cannot be reached; is it still running?");
  }
  if (response.status === 401) {
    await askToken();
    return send(method, path, body);
  }
  if (!response.ok) {
    const problem = await response.json().catch(() => ({ message: `the service answered ${response.status}` }));
    const later = response.headers.get("retry-after");
    throw new Error(problem.message + (later ? ` – please try again in ${plural(Number(later), "second")}` : ""));
  }
  return response;
}

const call = async (method, path, body) => (await send(method, path, body)).json();

function askToken() {
  const dialog = $("token-dialog");
  if (!dialog.open) dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => {
    sessionStorage.setItem("token", $("token").value);
    done();
  }, { once: true }));
}

/** Calls `on[event](data)` for each server-sent event of a response. */
async function listen(response, on) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const [name, data] = text.slice(0, end).split("\n").map((line) => line.slice(line.indexOf(": ") + 2));
      on[name](JSON.parse(data));
    }
  }
}

/** Has a form do its work once at a time, and show what goes wrong in `place`. */
function onSubmit(form, place, work) {
  const button = form.querySelector("button.main");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    place.setAttribute("aria-busy", "true");
    try {
      await work(new FormData(form));
    } catch (error) {
      showError(place, error);
    } finally {
      button.removeAttribute("aria-disabled");
      place.setAttribute("aria-busy", "false");
    }
  });
}

function showError(place, error) {
  place.append(make("p", { class: "card wrong", role: "alert" }, `Sorry: ${error.message}.`));
}

// Answers

/** A text with one span of it highlighted. */
function highlighted(text, start, end) {
  return make("p", {}, text.slice(0, start), make("mark", {}, text.slice(start, end)), text.slice(end));
}

function verdict(answer) {
  if (answer.answer) return [make("p", { class: "said" }, answer.answer), sureness(answer.sure)];
  if (!answer.guess) return [make("p", { class: "said" }, "I found no passage to answer from.")];
  return [
    make("p", { class: "said" }, "The documents do not say, as far as I can tell."),
    make("p", {}, `The nearest that I found: ${answer.guess}`),
    sureness(answer.sure),
  ];
}

function sureness(share) {
  const meter = make("meter", { min: 0, max: 1, value: share, "aria-label": percent(share) });
  return make("p", { class: "sure" }, meter, percent(share));
}

/** The sources of an answer as buttons that lead to the passage. */
function citations(answer, passageOf) {
  return answer.citations.map((cited) => make("p", { class: "quote" },
    cited.sentence === answer.guess ? null : `“${cited.sentence}” `,
    make("button", { type: "button", class: "link cite", onclick: () => open(passageOf(cited.passage)) },
      `Source: ${cited.title}`)));
}

function open(details) {
  details.open = true;
  const summary = details.querySelector("summary");
  summary.focus({ preventScroll: true });
  details.scrollIntoView({ block: "center" });
}

/** The passages as folds, by id; of the cited ones the span is highlighted. */
function passages(found, cited = []) {
  return new Map(found.map((passage, i) => {
    const citation = cited.find((c) => c.passage === passage.id);
    const text = citation ? highlighted(passage.text, citation.start, citation.end) : make("p", {}, passage.text);
    const title = `${i + 1}. ${passage.title}${citation ? " – cited" : ""}`;
    return [passage.id, make("details", { class: citation ? "cited" : null }, make("summary", {}, title), text)];
  }));
}

function tableOf(head, rows) {
  const cells = (tag, row) => row.map((value, i) =>
    make(tag, { class: i ? "n" : null, scope: tag === "th" ? "col" : null }, String(value)));
  return make("table", {}, make("thead", {}, make("tr", {}, ...cells("th", head))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...cells("td", row)))));
}

const REMEMBERED = {
  miss: "read just now", exact: "remembered from the same question", normalized: "remembered from the same question, spelt otherwise",
  rechecked: "remembered; the documents have changed since, but not what was found for this question",
};

function trace(answer) {
  const steps = [make("p", {}, `The question as it was looked up: ${answer.question}`),
    make("p", {}, `Answer: ${REMEMBERED[answer.cache]}; version ${answer.version} of the documents. ` +
      Object.entries(answer.seconds).map(([step, value]) => `${step} ${seconds(value)}`).join(", ")),
    tableOf(["Passage", "score"], answer.passages.map((p) => [p.title, p.score.toFixed(3)]))];
  for (const reading of answer.readings) {
    const read = `${plural(reading.passages, "passage")}, ${plural(reading.tokens, "token")} read. `;
    steps.push(make("p", {}, `${read}What was written, with the probability of each part:`));
    steps.push(make("p", { class: "words" }, ...reading.words.map((word) =>
      make("span", {}, word.text, make("small", {}, word.probability.toFixed(2))))));
    if (Object.keys(reading.features).length) {
      steps.push(make("p", {}, "What the sureness was computed from:"));
      steps.push(tableOf(["Sign", "value"], Object.entries(reading.features).map(([k, v]) => [k, v.toFixed(2)])));
    }
  }
  steps.push(make("p", {}, `Answers are given from ${percent(answer.threshold)} on.`));
  return make("details", { class: "trace" }, make("summary", {}, "How this answer came about"), ...steps);
}

/** Buttons by which a visitor says whether an answer is right. */
function judging(answer) {
  const place = make("div", { class: "judge", role: "group", "aria-label": "Is this right?" }, "Is this right?");
  const tell = async (verdict, correction = "") => {
    try {
      await call("POST", "feedback", { answer: answer.id, verdict, correction });
      place.replaceChildren(make("span", { role: "status" }, "Thank you: question and answer are kept, to learn from."));
    } catch (error) {
      place.replaceChildren(make("span", { class: "wrong", role: "alert" }, error.message));
    }
  };
  const ask = () => {
    const input = make("input", { "aria-label": "The right answer, as a passage says it (may be empty)", maxlength: 500,
      placeholder: "The right answer, as a passage says it" });
    const submit = (event) => { event.preventDefault(); tell("wrong", input.value); };
    place.replaceChildren(make("form", { onsubmit: submit }, input, make("button", {}, "Send")));
    input.focus();
  };
  const button = (text, onclick) => make("button", { type: "button", class: "quiet", onclick }, text);
  place.append(button("Right", () => tell("right")), button("Wrong", ask));
  if (!answer.answer) place.append(button("Truly not in the documents", () => tell("not in the documents")));
  return place;
}

onSubmit($("ask-form"), $("answer"), async (form) => {
  const [place, sources] = [$("answer"), $("sources")];
  const said = make("p", { class: "said" }, "Searching …");
  place.replaceChildren(make("div", { class: "card" }, said));
  sources.replaceChildren();
  try {
    const response = await send("POST", "ask", { question: form.get("question"), stream: true });
    let written = "";
    await listen(response, {
      passages(found) {
        said.textContent = found.length ? `Reading ${plural(found.length, "passage")} …` : "";
        sources.replaceChildren(make("h2", {}, "Passages found"), ...passages(found).values());
      },
      piece(text) { said.textContent = written += text; },
      answer(answer) {
        const folds = passages(answer.passages, answer.citations);
        place.replaceChildren(make("div", { class: "card" }, ...verdict(answer),
          ...citations(answer, (id) => folds.get(id)), judging(answer)));
        const head = folds.size ? [make("h2", {}, "Passages read")] : [];
        sources.replaceChildren(...head, ...folds.values(), trace(answer));
      },
      error(problem) { throw new Error(problem.message); },
    });
  } catch (error) {
    place.replaceChildren();
    throw error;
  }
});

// The guide

let talk = null;

onSubmit($("guide-form"), $("talk"), async (form) => {
  const log = $("talk");
  log.append(make("div", { class: "visitor" }, make("p", {}, form.get("message"))));
  const reply = await call("POST", "chat", { message: form.get("message"), conversation: talk });
  talk = reply.conversation;
  $("message").value = "";
  const understood = reply.question && reply.question !== form.get("message")
    ? make("p", {}, make("small", {}, `Understood: ${reply.question}`)) : null;
  const sources = reply.citations.map((cited, i) => make("details", { class: "cited" },
    make("summary", {}, `[${i + 1}] ${cited.title}`), highlighted(cited.text, cited.start, cited.end)));
  log.append(make("div", { class: "guide" }, understood, make("p", {}, reply.reply), ...sources));
  log.lastChild.scrollIntoView({ block: "nearest" });
});

$("new-talk").addEventListener("click", () => {
  talk = null;
  $("talk").replaceChildren();
  $("message").focus();
});

// Dossier and shop

onSubmit($("dossier-form"), $("summary"), async (form) => {
  const [place, text, name] = [$("summary"), form.get("text").trim(), form.get("document")];
  place.replaceChildren();
  const body = { question: form.get("question"), ...(name ? { document: name } : { text }) };
  if (!name && !text) throw new Error("choose a document or paste a text");
  const made = await call("POST", "summarize", body);
  const sentences = made.sentences.map(({ sentence, evidence }) => sentence === evidence ? sentence
    : make("span", { title: evidence }, sentence));
  place.append(make("div", { class: "card" }, make("h2", {}, made.title),
    ...sentences.map((sentence) => make("p", {}, sentence)),
    make("p", { class: "hint" }, `${plural(made.words, "word")} read; each sentence is in the text.`)));
});

onSubmit($("shop-form"), $("products"), async (form) => {
  const place = $("products");
  place.replaceChildren();
  const body = { wish: form.get("wish"), in_stock: form.get("stock") !== null };
  if (form.get("age")) body.age = Number(form.get("age"));
  if (form.get("price")) body.price_max = Number(form.get("price"));
  const found = await call("POST", "recommend", body);
  place.append(make("p", { class: "hint" }, `Understood: ${found.understood}`));
  for (const p of found.products) {
    const ages = p.age_max >= 99 ? `from ${p.age_min} years` : `${p.age_min} to ${p.age_max} years`;
    const facts = [p.category, `€${p.price.toFixed(2)}`, ages, p.in_stock ? "in stock" : "sold out at present"];
    place.append(make("article", { class: "card product" }, make("h3", {}, p.title),
      make("small", {}, facts.join(" · ")), make("p", {}, p.reason)));
  }
});

// Documents

async function showDocuments() {
  const all = await call("GET", "documents");
  const chosen = $("dossier-document").value;
  const options = [...all.dossiers, ...all.documents].map((d) => make("option", { value: d.id }, d.passages ? d.title : `Dossier: ${d.title}`));
  $("dossier-document").replaceChildren($("dossier-document").firstElementChild, ...options);
  $("dossier-document").value = chosen;
  $("adding").hidden = !all.changeable;
  const buttons = (d) => all.changeable ? [
    make("button", { class: "quiet", "aria-label": `Edit ${d.title}`, onclick: () => edit(d) }, "Edit"),
    make("button", { class: "quiet", "aria-label": `Delete ${d.title}`, onclick: (event) => remove(event.target, d) }, "Delete"),
  ] : [];
  $("documents-list").replaceChildren(...all.documents.map((d) => make("li", {},
    make("span", {}, d.title, make("small", {}, `${d.id} · ${plural(d.passages, "passage")}`)), ...buttons(d))));
  filter();
}

let replaced = null;  // the id of the document that is being edited

async function edit({ id }) {
  const { title, text } = await call("GET", pathOf(id));
  [$("add-title").value, $("add-text").value, replaced] = [title, text, id];
  $("add-form").querySelector("button").textContent = "Replace";
  $("adding").open = true;
  $("add-title").focus();
}

function startAdding() {
  $("add-form").reset();
  $("add-form").querySelector("button").textContent = "Add";
  replaced = null;
}

const pathOf = (id) => `documents/${encodeURIComponent(id).replaceAll("%2F", "/")}`;

function filter() {
  const [words, items] = [$("filter").value.toLowerCase(), [...$("documents-list").children]];
  for (const item of items) item.hidden = !item.firstChild.textContent.toLowerCase().includes(words);
  $("documents-count").textContent = plural(items.filter((item) => !item.hidden).length, "document");
}

async function remove(button, { id, title }) {
  if (button.textContent === "Delete") {  // asked twice, for it cannot be taken back
    button.textContent = "Really?";
    button.setAttribute("aria-label", `Really delete ${title}?`);
    return;
  }
  try {
    await call("DELETE", pathOf(id));
    $("documents-said").textContent = `“${title}” is deleted; nothing is answered from it any more.`;
  } catch (error) {
    $("documents-said").textContent = `Sorry: ${error.message}.`;
  }
  await showDocuments();
  $("filter").focus();
}

onSubmit($("add-form"), $("documents-said"), async (form) => {
  const title = form.get("title").trim();
  const id = title.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "") || "document";
  $("documents-said").textContent = "Reading …";
  try {
    const text = form.get("text");
    const { passages, change } = replaced ? await call("PUT", pathOf(replaced), { title, text })
      : await call("POST", "documents", { id, title, text });
    $("documents-said").textContent = `“${title}” is ${change} (${plural(passages, "passage")}): ask about it.`;
    startAdding();
  } catch (error) {
    $("documents-said").textContent = "";
    throw error;
  }
  await showDocuments();
});

$("add-file").addEventListener("change", async ({ target }) => {
  const [file] = target.files;
  if (!file) return;
  $("add-text").value = await file.text();
  $("add-title").value ||= file.name.replace(/\.\w+$/, "");
});
$("adding").addEventListener("toggle", () => $("adding").open || startAdding());  // who folds it up edits no more
$("filter").addEventListener("input", filter);

// Tabs, by mouse and by arrow keys

const tabs = [...document.querySelectorAll("[role=tab]")];

function choose(tab) {
  for (const other of tabs) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", chosen);
    other.tabIndex = chosen ? 0 : -1;
    $(other.getAttribute("aria-controls")).hidden = !chosen;
  }
}

for (const tab of tabs) {
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", ({ key }) => {
    const visible = tabs.filter((t) => !t.hidden);
    const at = visible.indexOf(tab);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[key];
    if (to === undefined) return;
    const next = visible.at(to % visible.length);
    choose(next);
    next.focus();
  });
}

// The start

const EXAMPLES = ["Who was the first woman in space?", "Why were Hubble’s first pictures blurred?", "Which animals flew in orbit?"];

async function begin() {
  for (;;) {
    const state = await fetch("ready").then((response) => response.json()).catch(() => ({ status: "away" }));
    $("state").textContent = { ready: "", loading: "The models are being loaded …" }[state.status] ?? "The service does not answer.";
    if (state.status === "ready") {
      $("tab-shop").hidden = !state.shop;
      $("examples").hidden = !state.shop;
      break;
    }
    await new Promise((done) => setTimeout(done, 1000));
  }
  await showDocuments();
}

$("examples").append(...EXAMPLES.map((text) => make("button", { type: "button", class: "quiet", onclick: () => {
  $("question").value = text;
  $("ask-form").requestSubmit();
} }, text)));
$("question").focus();
begin();
