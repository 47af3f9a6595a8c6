// Looks at the answer book in a real Chromium, from its folder, without a network:
//   node .ci/book.mjs FOLDER_OF_PACKAGES CHROMIUM SITE [FOLDER_FOR_SCREENSHOTS]
// Prints one line a check; exit code 1 if one fails.
import { readFile, readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [packages, executablePath, site, shots] = process.argv.slice(2);
const { chromium } = (await import(pathToFileURL(join(resolve(packages), "playwright-core/index.js"))))
  .default;
const axe = await readFile(join(packages, "axe-core/axe.min.js"), "utf8");
const url = (name) => pathToFileURL(join(resolve(site), name)).href;
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const said = [];
const check = (name, passed, found = "") => {
  said.push(passed);
  console.log(`${passed ? "ok  " : "FAIL"} ${name}${found === "" ? "" : `: ${found}`}`);
};

async function opened(settings) {
  const context = await browser.newContext(settings);
  const page = await context.newPage();
  page.faults = [];
  page.on("console", (message) => message.type() === "error" && page.faults.push(message.text()));
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on("request", (request) => {
    if (!/^(file|data):/.test(request.url())) page.faults.push(`asked for ${request.url()}`);
  });
  return page;
}

async function violations(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document));
  return found.violations.map((one) => `${one.id} (${one.nodes[0].target})`);
}

const desktop = await opened({ viewport: { width: 1200, height: 900 } });
const names = (await readdir(site)).filter((name) => name.endsWith(".html"));
for (const name of names) await desktop.goto(url(name));
check(`${names.length} pages load without an error or a request`, !desktop.faults.length, desktop.faults);

for (const colorScheme of ["light", "dark"]) {
  const page = await opened({ colorScheme, viewport: { width: 1200, height: 900 } });
  for (const name of ["index.html", "rollback.html", "canary-decides.html", "rehearse.html", "drills.html"]) {
    await page.goto(url(name));
    if (name === "rehearse.html") await page.keyboard.press("Space");
    const found = await violations(page);
    check(`axe on ${name}, ${colorScheme}`, !found.length, found);
    if (shots) await page.screenshot({ path: join(shots, `${name}-${colorScheme}.png`) });
  }
}

const wide = [];
const phone = await opened({ viewport: { width: 360, height: 740 }, isMobile: true });
for (const name of names) {
  await phone.goto(url(name));
  const wider = await phone.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  if (wider > 0) wide.push(`${name} by ${wider} px`);
  if (shots && /^(index|rollback|rehearse|drills)/.test(name))
    await phone.screenshot({ path: join(shots, `${name}-phone.png`) });
}
check(`${names.length} pages fit a phone`, !wide.length, wide);

await desktop.goto(url("index.html"));
await desktop.keyboard.press("/");
await desktop.keyboard.type("how do you roll back");
const first = desktop.locator("#results a").first();
check("search finds an answer by free words", (await first.getAttribute("href")) === "rollback.html");
check("search says how many", /\d pages found/.test(await desktop.locator("#found").textContent()));
await desktop.keyboard.press("Enter");
await desktop.waitForURL(/rollback\.html/);
check("enter opens it", (await desktop.title()).includes("roll back"));

await desktop.goto(url("rehearse.html"));
const asked = await desktop.locator("#asked").textContent();
check("the answer is hidden at first", await desktop.locator("#answer").isHidden());
await desktop.keyboard.press("Space");
check("space shows it", await desktop.locator("#spoken p").first().isVisible());
await desktop.keyboard.press("2");
check("a score leads to the next question", (await desktop.locator("#asked").textContent()) !== asked);
await desktop.reload();
check("the score is kept", /^1 of \d+ scored, 2\.0/.test(await desktop.locator("#kept").textContent()));
await desktop.goto(url("rehearse.html") + "?path=devops-engineer");
const some = await desktop.locator("#kept").textContent();
check("a path narrows the questions", Number(some.match(/of (\d+)/)[1]) < names.length - 17, some);
check("nothing went wrong meanwhile", !desktop.faults.length && !phone.faults.length, desktop.faults);

await browser.close();
process.exit(said.every(Boolean) ? 0 : 1);
