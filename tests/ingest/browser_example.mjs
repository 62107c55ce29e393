// Shows a page on an origin of its own, presses its button, and prints what the page says.
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { findings, judge } from "../browser/judge.mjs";

const page = readFileSync(process.argv[2]);
const server = createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end(page));
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));

await judge(async (browser) => {
  const tab = await browser.newPage();
  tab.on("pageerror", (error) => findings.push(`page error: ${error.message}`));
  await tab.goto(`http://127.0.0.1:${server.address().port}/`);
  const says = () => tab.locator("output").evaluate((output) => output.value);
  await tab.locator("button:enabled").waitFor();
  console.log(await says());
  await tab.locator("button").click();
  console.log(await says());
  await tab.waitForFunction(() => /^[A-Z_]+$/.test(document.querySelector("output").value),
    null, { timeout: 60000 });
  console.log(await says());
});
server.close();
