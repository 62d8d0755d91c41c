// The forward server of @fluent-org/logger, told by one line of JSON how to listen.
// It says its port, and answers "count" on its standard input with how many entries it holds, "entries" with all.
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";
import { FluentServer } from "@fluent-org/logger";

const { security, certificate } = JSON.parse(process.argv[2]);
const tlsOptions = certificate && { key: readFileSync(certificate), cert: readFileSync(certificate) };
const server = new FluentServer({ listenOptions: { host: "127.0.0.1", port: 0 }, security, tlsOptions });
const entries = [];

server.on("entry", (tag, time, record) => entries.push([tag, [time.epoch, time.nano], record]));
await server.listen();
console.log(server.port);

for await (const asked of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(asked === "count" ? entries.length : entries));
}
process.exit(0);
