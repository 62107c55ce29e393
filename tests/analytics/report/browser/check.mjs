// Opens a report as its readers do: in light and dark, wide, on a phone, and printed.
//   run.sh check.mjs PAGE [FOLDER FOR SCREENSHOTS]
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { judge, look, watched } from "../../../browser/judge.mjs";

const [page, folder] = process.argv.slice(2);
const address = pathToFileURL(resolve(page)).href;
const readers = [
  { name: "wide-light", width: 1280, height: 900, colorScheme: "light" },
  { name: "wide-dark", width: 1280, height: 900, colorScheme: "dark" },
  { name: "phone-light", width: 375, height: 812, colorScheme: "light" },
  { name: "phone-dark", width: 375, height: 812, colorScheme: "dark" },
  { name: "print", width: 794, height: 1123, colorScheme: "dark", media: "print" },
];

await judge(async (browser) => {
  for (const reader of readers) {
    const { name, colorScheme, media } = reader;
    const { tab, found } = await watched(browser, reader, (url) => url === address);
    if (media) await tab.emulateMedia({ media, colorScheme });
    await tab.goto(address, { waitUntil: "load" });
    for (const summary of await tab.locator("details").first().locator("summary").all()) {
      await summary.click();
    }
    await look(tab, found, name, folder);
    if (folder && media === "print") await tab.pdf({ path: join(folder, "print.pdf"), format: "A4" });
    await tab.context().close();
  }
});
