import { assert, assertEquals } from "@std/assert";
import { ALICE, BOB, connectPeer, DEV_TOKEN } from "../outside/clients.ts";
import { ServerProcess } from "../outside/server_process.ts";
import { until } from "../until.ts";
import { testReal } from "./real_test.ts";

const MiB = 1024 * 1024;

/** A disk of 16 MiB, in memory; null where nobody may mount one. */
async function smallDisk(): Promise<string | null> {
  const folder = await Deno.makeTempDir();
  const mounted = await run("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder);
  if (mounted) return folder;
  console.error("SKIPPED: a full disk. Mounting a small one takes root.");
  return null;
}

async function run(program: string, ...args: string[]): Promise<boolean> {
  const command = new Deno.Command(program, { args, stdout: "null", stderr: "null" });
  return await command.output().then(({ success }) => success, () => false);
}

/** Fills a disk up to its last byte. */
async function fill(path: string): Promise<void> {
  using file = await Deno.open(path, { create: true, write: true });
  for (const size of [MiB, 4_096, 1]) {
    try {
      for (;;) await file.write(new Uint8Array(size));
    } catch {
      // No more of this size.
    }
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

testReal(
  "S33: on a full disk the service lives, is not ready, acknowledges nothing and is read; it recovers by itself",
  await smallDisk(),
  async (disk) => {
    const env = { KV_PATH: `${disk}/store.sqlite3`, UNSAFE_DEV_TOKEN: DEV_TOKEN };
    try {
      {
        await using server = await ServerProcess.start(env);
        const [writer, reader] = [
          await connectPeer(server, ALICE, "room"),
          await connectPeer(server, BOB, "room"),
        ];
        writer.text.insert(0, "before");
        writer.probe(1);
        await writer.hears("ack 1");

        await fill(`${disk}/fill`);
        const begun = Date.now();
        const ready = async () => {
          const answer = await fetch(`${server.url}/readyz`);
          await answer.body?.cancel();
          await pause(100);
          return answer.ok;
        };
        await until(async () => !await ready());
        const ticket = await fetch(`${server.url}/xrpc/chat.roomy.v0.sync.getTicket`, {
          method: "POST",
          headers: { authorization: `Bearer ${DEV_TOKEN}` },
          body: JSON.stringify({ room: "room", did: ALICE }),
        });
        assertEquals([ticket.status, (await ticket.json()).error], [503, "StoreUnavailable"]);
        assert(ticket.headers.has("retry-after"));
        writer.text.insert(6, ", lost for now");
        writer.probe(2);
        assertEquals((await writer.isClosed()).code, 1013);
        assert(!writer.heard.includes("ack 2"));
        // A minute after a key has expired, Deno KV would have ended the process.
        while (Date.now() - begun < 130_000) {
          assert(!await ready());
          await pause(1_000);
        }
        reader.probe(3);
        await reader.hears("ack 3");
        assertEquals([reader.closed, reader.text.toString()], [null, "before"]);
        const told = server.log.filter((line) => /"level":"(WARN|ERROR)/.test(line))
          .filter((line) => !line.includes("UNSAFE_"));
        assertEquals(told.length, 1, told.join("\n"));
        assert(told[0]!.includes("the store cannot be written: database or disk is full"));

        await Deno.remove(`${disk}/fill`);
        await until(ready);
        const again = await connectPeer(server, ALICE, "room");
        await again.hears("step2");
        again.text.insert(6, ", and after");
        again.probe(4);
        await again.hears("ack 4");
        assertEquals(reader.text.toString(), "before, and after");
        assertEquals(await server.stop(), 0);
      }
      await using server = await ServerProcess.start(env);
      const later = await connectPeer(server, ALICE, "room");
      await later.hears("step2");
      assertEquals(later.text.toString(), "before, and after");
      later.leave();
    } finally {
      await run("umount", "--lazy", disk);
      await Deno.remove(disk).catch(() => {});
    }
  },
);
