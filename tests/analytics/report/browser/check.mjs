// Opens a report as its readers do, and judges what the browser and axe-core say of it.
import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const { CHROMIUM, TOOLS } = process.env;
const tools = createRequire(join(TOOLS, "package.json"));
const { chromium } = tools("playwright-core");
const axe = readFileSync(tools.resolve("axe-core/axe.min.js"), "utf8");

const [page, folder] = process.argv.slice(2);
const address = pathToFileURL(resolve(page)).href;
const readers = [
  { name: "wide-light", width: 1280, height: 900, colorScheme: "light" },
  { name: "wide-dark", width: 1280, height: 900, colorScheme: "dark" },
  { name: "phone-light", width: 375, height: 812, colorScheme: "light" },
  { name: "phone-dark", width: 375, height: 812, colorScheme: "dark" },
  { name: "print", width: 794, height: 1123, colorScheme: "dark", media: "print" },
];
const findings = [];

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  for (const reader of readers) await look(reader);
} finally {
  await browser.close();
}
for (const finding of findings) console.log(finding);
console.log(`${readers.length} readings, ${findings.length} finding(s)`);
process.exitCode = findings.length ? 1 : 0;

async function look({ name, width, height, colorScheme, media }) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme });
  const tab = await context.newPage();
  const found = (text) => findings.push(`${name}: ${text}`);
  tab.on("console", (message) => message.type() === "error" && found(`console: ${message.text()}`));
  tab.on("pageerror", (error) => found(`page error: ${error.message}`));
  tab.on("request", (request) => {
    if (request.url() !== address && !request.url().startsWith("data:")) {
      found(`request: ${request.url()}`);
    }
  });
  if (media) await tab.emulateMedia({ media, colorScheme });
  await tab.goto(address, { waitUntil: "load" });
  for (const summary of await tab.locator("details").first().locator("summary").all()) {
    await summary.click();
  }
  const excess = await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (excess > 0) found(`the page is ${excess} px wider than the screen`);
  await tab.evaluate(axe);
  const { violations } = await tab.evaluate(() => globalThis.axe.run());
  for (const violation of violations) {
    const nodes = violation.nodes.slice(0, 3).map((node) => node.target.join(" ")).join("; ");
    const line = `axe ${violation.impact}: ${violation.id}: ${violation.help} (${nodes})`;
    if (["serious", "critical"].includes(violation.impact)) found(line);
    else console.log(`${name}: ${line}`);
  }
  if (folder) {
    mkdirSync(folder, { recursive: true });
    await tab.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
    if (media === "print") await tab.pdf({ path: join(folder, "print.pdf"), format: "A4" });
  }
  await context.close();
}
