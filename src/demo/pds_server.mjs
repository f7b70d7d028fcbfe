// Runs under Node 22, in the folder of its packages: a PLC directory and a PDS in memory and a temporary folder.
// Prints where they are, as JSON, once both answer. Each line of its input is something to be done to
// an account, answered with a line of its own; it ends with its input.
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";

const require = createRequire(`${process.cwd()}/`);
const { Secp256k1Keypair } = require("@atproto/crypto");
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

const { actorStore, plcClient, plcRotationKey } = pds.ctx;
/** What only whoever runs a PDS can do. */
const deeds = {
  /** The account signs with another key from now on, and the directory says so. */
  async rotateKey(did) {
    const key = await Secp256k1Keypair.create({ exportable: true });
    const { keyLocation } = await actorStore.getLocation(did);
    writeFileSync(keyLocation, await key.export());
    await plcClient.updateAtprotoKey(did, plcRotationKey, key.did());
  },
  /** The account is no more. */
  async bury(did) {
    await plcClient.tombstone(did, plcRotationKey);
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { deed, did } = JSON.parse(line);
  const failure = await deeds[deed](did).then(() => null, String);
  console.log(JSON.stringify({ failure }));
}
rmSync(folder, { recursive: true, force: true });
process.exit(0);
