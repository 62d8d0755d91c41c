// Draws Vega specifications, one JSON object a line on the standard input: {spec, width, height}.
// Answers a line of JSON for each: {svg, warnings, data}, data by name as the marks get it.
import { createInterface } from "node:readline";
import * as vega from "vega";

for await (const line of createInterface({ input: process.stdin })) {
  const { spec, width, height } = JSON.parse(line);
  const warnings = [];
  const tell = (...words) => warnings.push(words.join(" "));
  const logger = { level: () => vega.Warn, error: tell, warn: tell, info() {}, debug() {} };
  const view = new vega.View(vega.parse({ ...spec, width, height }), { renderer: "none", logger });
  await view.runAsync();
  const data = Object.fromEntries((spec.data || []).map(({ name }) => [name, view.data(name)]));
  console.log(JSON.stringify({ svg: await view.toSVG(), warnings, data }));
}
