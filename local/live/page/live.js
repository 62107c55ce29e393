// Draws the states that the server sends, and sends what the buttons ask for.
"use strict";

const $ = (id) => document.getElementById(id);
const token = document.querySelector("meta[name=live-token]").content;
const count = new Intl.NumberFormat("en");
const STALE_MS = 5000;
const AGAIN_MS = 3000;
const FAULTS = { dynamodb: "DynamoDB is away", eventbridge: "EventBridge throttles" };
let shown = 0;
let lastState = 0;

connect();
function connect() {
  const stream = new EventSource("stream");
  stream.onmessage = (message) => {
    lastState = Date.now();
    connection("pass", "live");
    draw(JSON.parse(message.data));
  };
  stream.onerror = () => {
    connection("fail", "not connected; trying again …");
    // After an answer such as 503 a browser does not try again by itself.
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, AGAIN_MS);
  };
}
setInterval(() => {
  if (lastState && Date.now() - lastState > STALE_MS) connection("fail", "not up to date");
}, 1000);

for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form, event.submitter);
  });
}

async function send(form, button) {
  const fields = {};
  for (const input of form.querySelectorAll("input")) {
    fields[input.name] = input.type === "number" ? input.valueAsNumber : input.value;
  }
  if (button?.name) fields[button.name] = button.value;
  if (button) button.disabled = true;
  $("answer").textContent = "One moment …";
  try {
    const answer = await fetch(`do/${form.dataset.action}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Live-Token": token },
      body: JSON.stringify(fields),
    });
    const { text, done } = await answer.json();
    $("answer").textContent = answer.ok && done ? text : `Not done: ${text}`;
  } catch {
    $("answer").textContent = "Not done: the server does not answer. Is `participation local up` still running?";
  } finally {
    if (button) button.disabled = false;
    button?.focus();
  }
}

function connection(style, words) {
  if ($("connection").textContent === words) return;
  $("connection").className = `verdict ${style}`;
  $("connection").textContent = words;
}

function put(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

function draw({ now, status }) {
  const figures = {
    clicks: now.clicks_accepted, "clicks-refused": now.clicks_refused,
    undecided: now.waiting + now.held, waiting: now.waiting, held: now.held,
    "seats-left": now.seats_left, "seats-taken": now.seats - now.seats_left,
    decided: now.succeeded + now.rejected + now.failed,
    succeeded: now.succeeded, rejected: now.rejected, failed: now.failed,
    pauses: now.pauses, starts: now.worker_starts,
    lost: now.unpublished, kept: now.kept, dlq: now.dlq,
    "lake-events": now.lake_events,
    measured: now.delays?.count ?? 0,
  };
  for (const [id, value] of Object.entries(figures)) put(id, count.format(value));
  put("event", now.event_id);
  put("seats-of", `${count.format(now.seats)} seats, first come, first served${now.is_closed ? "; closed" : ""}`);
  put("paused-s", now.paused_s.toFixed(0));
  put("calls", now.calls_a_message === null ? "–" : now.calls_a_message.toFixed(2));
  put("lake-files", `${count.format(now.lake_files)} file${now.lake_files === 1 ? "" : "s"}`);
  put("lake-bytes", bytes(now.lake_bytes));
  put("burst", now.burst ? `${count.format(now.burst.answered)} of ${count.format(now.burst.clicks)} answered` : "");
  put("faults", now.faults.map(({ name, ends_at_ms }) =>
    `${FAULTS[name]}: ${Math.max(0, Math.round((ends_at_ms - now.at_ms) / 1000))} s left`).join("; "));
  for (const name of ["queue", "e2e"]) {
    for (const rank of ["p50", "p95"]) {
      put(`${name}-${rank}`, now.delays ? duration(now.delays[`${name}_${rank}_ms`]) : "–");
    }
  }
  $("seats-bar").max = now.seats || 1;
  $("seats-bar").value = now.seats_left;
  for (const name of ["succeeded", "rejected", "failed"]) {
    $(`bar-${name}`).style.flexGrow = now[name];
    $(`bar-${name}`).hidden = !now[name];
  }
  $("status").className = `status ${status.tone}`;
  put("status-title", status.title);
  put("status-text", status.text);
  drawCourse(now.course);
  drawChecks(now);
  drawLatest(now.latest);
  drawLog(now.happenings);
}

function drawCourse(course) {
  const [clicks, decisions, queue] = [0, 1, 2].map((at) => course.map((second) => second[at]));
  const rate = Math.max(1, ...clicks, ...decisions);
  line("line-clicks", clicks, rate);
  line("line-decisions", decisions, rate);
  line("line-queue", queue, Math.max(1, ...queue));
  put("peak-clicks", count.format(Math.max(0, ...clicks)));
  put("peak-decisions", count.format(Math.max(0, ...decisions)));
  put("peak-queue", count.format(Math.max(0, ...queue)));
  put("clicks-rate", count.format(clicks.at(-1) ?? 0));
  put("decided-rate", count.format(decisions.at(-1) ?? 0));
}

function line(id, values, highest) {
  const first = 120 - values.length;
  const points = values.map((value, at) => `${(first + at) * 5},${(118 - (115 * value) / highest).toFixed(1)}`);
  $(id).setAttribute("d", points.length ? `M${points.join("L")}` : "");
}

function drawChecks({ checks, is_checking }) {
  const rows = is_checking
    ? [element("li", "", "They run once every message is decided and in the lake …")]
    : checks.map(({ name, holds, detail }) => {
        const text = element("div");
        text.append(element("b", "", name), element("br"), element("span", "small", detail));
        const row = element("li");
        row.append(element("span", `badge ${holds ? "pass" : "fail"}`, holds ? "pass" : "fail"), text);
        return row;
      });
  replace($("checks"), rows);
}

function drawLatest(latest) {
  replace($("latest"), latest.map((decision) => {
    const row = element("tr");
    const name = element("td");
    name.append(element("code", "", decision.request_id.slice(0, 8)));
    row.append(name, element("td", "", decision.result),
      element("td", "figure wide-only", duration(decision.queue_ms)), element("td", "figure", duration(decision.e2e_ms)));
    return row;
  }));
}

function drawLog(happenings) {
  if ((happenings.at(-1)?.number ?? 0) < shown) {
    // The server was started again, and counts from 1.
    shown = 0;
    $("log").replaceChildren();
  }
  const fresh = happenings.filter(({ number }) => number > shown);
  for (const { number, at_ms, tone, text } of fresh) {
    const row = element("p");
    const time = element("time", "", new Date(at_ms).toTimeString().slice(0, 8));
    row.append(time, element("span", tone, text));
    $("log").prepend(row);
    shown = number;
  }
  while ($("log").children.length > 12) $("log").lastChild.remove();
}

function replace(parent, rows) {
  const text = rows.map((row) => row.outerHTML).join("");
  if (parent.dataset.drawn === text) return;
  parent.dataset.drawn = text;
  parent.replaceChildren(...rows);
}

function element(name, style = "", text = "") {
  const made = document.createElement(name);
  if (style) made.className = style;
  made.textContent = text;
  return made;
}

function duration(ms) {
  return ms < 10000 ? `${count.format(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function bytes(size) {
  return size < 1e6 ? `${(size / 1e3).toFixed(0)} kB` : `${(size / 1e6).toFixed(1)} MB`;
}
