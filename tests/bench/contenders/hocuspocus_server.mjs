// hocuspocus as its documentation sets it up. Runs on Node; its packages lie in the folder PEERS.
import { createRequire } from "node:module";
import process from "node:process";

const require = createRequire(`${process.env.PEERS}/`);
const { Server } = require("@hocuspocus/server");

function sqlite(database) {
  const { SQLite } = require("@hocuspocus/extension-sqlite");
  return new SQLite({ database });
}

new Server({
  address: "127.0.0.1",
  port: Number(process.env.PORT),
  // It hangs up on who says nothing for a minute. Real clients repeat their awareness; ours only read.
  timeout: 600_000,
  extensions: process.env.SQLITE ? [sqlite(process.env.SQLITE)] : [],
}).listen();
