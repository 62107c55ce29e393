// A browser whose tabs report console errors, requests elsewhere, too wide pages and axe's findings.
import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const { CHROMIUM, TOOLS } = process.env;
const tools = createRequire(join(TOOLS, "package.json"));
const { chromium } = tools("playwright-core");
const axe = readFileSync(tools.resolve("axe-core/axe.min.js"), "utf8");
export const findings = [];

// Runs a judgement with a browser, prints the findings, and sets the exit code: 1 for any.
export async function judge(work) {
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  try {
    await work(browser);
  } catch (error) {
    findings.push(error.stack);
  } finally {
    await browser.close();
  }
  for (const finding of findings) console.log(finding);
  console.log(`${findings.length} finding(s)`);
  process.exitCode = findings.length ? 1 : 0;
}

// Opens a tab for a reader; `isOwn` knows the addresses that the page may request.
export async function watched(browser, { name, width, height, colorScheme }, isOwn) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme });
  const tab = await context.newPage();
  const found = (text) => findings.push(`${name}: ${text}`);
  tab.on("console", (message) => message.type() === "error" && found(`console: ${message.text()}`));
  tab.on("pageerror", (error) => found(`page error: ${error.message}`));
  tab.on("request", (request) => {
    if (!isOwn(request.url()) && !request.url().startsWith("data:")) found(`request: ${request.url()}`);
  });
  return { tab, found };
}

// Looks at a page as it stands: its width, axe's findings, and a screenshot where a folder is given.
export async function look(tab, found, name, folder) {
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
  }
}
