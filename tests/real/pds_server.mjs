// Runs under Node 22, in the folder of its packages: a PLC directory and a PDS in memory and a temporary folder.
// Prints where they are, as JSON, once both answer; ends with its input.
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

const require = createRequire(`${process.cwd()}/`);
const { PDS } = require("@atproto/pds");
const plc = require("@did-plc/server");

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

const [plcPort, port] = [await freePort(), await freePort()];
const directory = plc.PlcServer.create({ db: plc.Database.mock(), port: plcPort });
await directory.start();

const folder = mkdtempSync(join(tmpdir(), "tessera-pds-"));
const pds = await PDS.fromEnv({
  devMode: true,
  hostname: "localhost",
  port,
  dataDirectory: folder,
  blobstoreDiskLocation: join(folder, "blobs"),
  didPlcUrl: `http://localhost:${plcPort}`,
  serviceHandleDomains: [".test"],
  inviteRequired: false,
  disableSsrfProtection: true,
  jwtSecret: randomBytes(16).toString("hex"),
  adminPassword: randomBytes(16).toString("hex"),
  dpopSecret: randomBytes(32).toString("hex"),
  plcRotationKeyK256PrivateKeyHex: randomBytes(32).toString("hex"),
});
await pds.start();
console.log(
  JSON.stringify({ plc: `http://localhost:${plcPort}`, pds: `http://localhost:${port}` }),
);

process.stdin.on("end", () => {
  rmSync(folder, { recursive: true, force: true });
  process.exit(0);
}).resume();
