// Watches a flash event on the live page and presses each of its buttons; the numbers must follow.
//   run.sh live.mjs URL [FOLDER FOR SCREENSHOTS]
import { judge, look, watched } from "../../../browser/judge.mjs";

const [address, folder] = process.argv.slice(2);
const isOwn = (url) => url.startsWith(address);
const WITHIN_MS = 60_000;
const wide = { name: "wide-light", width: 1280, height: 900, colorScheme: "light" };
const readers = [
  { name: "wide-dark", width: 1280, height: 900, colorScheme: "dark" },
  { name: "phone-light", width: 390, height: 844, colorScheme: "light" },
  { name: "phone-dark", width: 390, height: 844, colorScheme: "dark" },
];

await judge(async (browser) => {
  const { tab, found } = await watched(browser, wide, isOwn);
  await tab.goto(address);
  await until(tab, "live", () => text("connection") === "live" && number("seats-left") === 100);
  await aClickByKeyboard(tab);
  await dynamoDbAway(tab, folder);
  await theWorkerKilled(tab);
  await eventBridgeThrottled(tab);
  await theChecks(tab, 250);
  await press(tab, "Republish lost events");
  await until(tab, "nothing to republish", () => text("answer").includes("no event is lost"));
  await press(tab, "Close the event");
  await until(tab, "closed", () => text("seats-of").endsWith("closed"));
  await look(tab, found, wide.name, folder);
  for (const reader of readers) {
    const other = await watched(browser, reader, isOwn);
    await other.tab.goto(address);
    await until(other.tab, "live", () => text("connection") === "live" && number("decided") > 0);
    await until(other.tab, "the longest result within its frame", () => {
      for (const cell of document.querySelectorAll("#latest td:nth-child(2)")) cell.textContent = "FAILED_EVENT_NOT_FOUND";
      return [...document.querySelectorAll(".scroll")].every((frame) => frame.scrollWidth <= frame.clientWidth);
    });
    await look(other.tab, other.found, reader.name, folder);
    await other.tab.context().close();
  }
  await aBrokenStream(await browser.newPage());
});

// In a tab of its own: the browser itself logs an error for what does not answer.
async function aBrokenStream(tab) {
  let answers = 0;
  await tab.route("**/stream", (route) => {
    answers += 1;
    if (answers === 1) return route.abort();
    return answers === 2 ? route.fulfill({ status: 503 }) : route.continue();
  });
  await tab.goto(address);
  await until(tab, "the break", () => text("connection").startsWith("not connected"));
  await until(tab, "another connection", () => text("connection") === "live");
  if (answers !== 3) throw new Error(`${answers} connections instead of 3`);
}

async function aClickByKeyboard(tab) {
  await tab.locator("input[name=user]").focus();
  await tab.keyboard.press("Tab");
  const focused = await tab.evaluate(() => document.activeElement.textContent);
  if (focused !== "Click as this user") throw new Error(`Tab leads to ${focused}`);
  await tab.keyboard.press("Enter");
  await until(tab, "alice's seat", () => number("clicks") === 1 && number("succeeded") === 1
    && number("seats-left") === 99 && number("decided") === 1);
  await until(tab, "alice's decision", () => text("answer") === "alice: SUCCEEDED");
  await until(tab, "99 of 100 seats on the bar", () => document.getElementById("seats-bar").position === 0.99);
  await until(tab, "alice in the log", () => text("log").includes("alice clicked; ingest answered 202"));
  await until(tab, "the lake's first file", () => number("lake-files") > 0);
}

async function dynamoDbAway(tab, folder) {
  await newEvent(tab, "event-2", 300);
  await burst(tab, 2500);
  await tab.locator("input[name=seconds]").fill("6");
  await press(tab, "DynamoDB away");
  await until(tab, "the pause", () => text("status-title").startsWith("Paused: DynamoDB")
    && /^[\d,]+ messages wait/.test(text("status-text")) && number("pauses") >= 1);
  if (folder) await tab.screenshot({ path: `${folder}/paused.png`, fullPage: true });
  await until(tab, "the recovery", () => text("log").includes("DynamoDB answers again"));
  await until(tab, "all decided", () => text("log").includes("Answered in")
    && text("status-title") === "Sold out" && number("seats-left") === 0
    && number("succeeded") === 300 && number("rejected") > 0);
  await theChecks(tab, 300);
}

async function theWorkerKilled(tab) {
  await newEvent(tab, "event-3", 400);
  await burst(tab, 1000);
  await press(tab, "Kill the worker");
  await until(tab, "the worker gone", () => text("log").includes("The worker is gone"));
  await until(tab, "another worker", () => number("starts") === 2);
  await until(tab, "none of them lost", () => number("decided") === 1000 && number("clicks") === 1000
    && number("succeeded") === 400 && number("undecided") === 0);
}

async function eventBridgeThrottled(tab) {
  await newEvent(tab, "event-4", 250);
  await tab.locator("input[name=seconds]").fill("4");
  await press(tab, "Throttle EventBridge");
  await burst(tab, 500);
  await until(tab, "the throttle", () => text("status-title") === "EventBridge throttles");
  await until(tab, "all published", () => number("decided") === 500 && number("undecided") === 0
    && number("succeeded") === 250 && number("lost") === number("kept"));
}

async function theChecks(tab, seats) {
  await press(tab, "Run the checks");
  await until(tab, "the checks", () => document.querySelectorAll("#checks .badge").length === 6);
  const rows = await tab.locator("#checks li").allInnerTexts();
  for (const row of rows) if (!row.startsWith("pass")) throw new Error(`a check fails: ${row}`);
  if (!rows[0].includes(`${seats} winners`)) throw new Error(`${seats} seats, but ${rows[0]}`);
}

async function newEvent(tab, name, seats) {
  await tab.locator("input[name=seats]").fill(String(seats));
  await press(tab, "New event");
  await tab.waitForFunction(([name, seats]) => text("event") === name && number("clicks") === 0
    && number("seats-left") === seats, [name, seats], { timeout: WITHIN_MS });
}

async function burst(tab, users) {
  await tab.locator("input[name=clicks]").fill(String(users));
  await press(tab, "Burst of clicks");
  await until(tab, "its first clicks", () => number("clicks") > 0);
}

async function press(tab, name) {
  await tab.getByRole("button", { name, exact: true }).click();
}

// Waits for the page to show something; the condition runs in the page, by its ids.
async function until(tab, what, condition) {
  await tab.evaluate(() => {
    globalThis.text = (id) => document.getElementById(id).textContent;
    globalThis.number = (id) => parseInt(text(id).replaceAll(",", ""), 10);
  });
  try {
    await tab.waitForFunction(condition, null, { timeout: WITHIN_MS, polling: 50 });
  } catch {
    throw new Error(`not seen: ${what}\n${await tab.evaluate(() => document.body.innerText)}`);
  }
}
