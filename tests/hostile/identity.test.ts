/** Who is calling: tokens that name slow hosts. */
import { assertEquals } from "@std/assert";
import { systemClock } from "../../src/clock.ts";
import {
  documentOf,
  forgeToken,
  goodClaims,
  goodToken,
  makeAccount,
} from "../auth/service_jwt_maker.ts";
import { dose, Target } from "./target.ts";

const METHOD = "chat.roomy.v0.sync.getTicket";

const didAt = ({ port }: Deno.NetAddr) => `did:web:localhost%3A${port}`;

/** Asks for a ticket as this token says, by way of a proxy that names the caller's address. */
async function ask(
  target: Target,
  token: string,
  address: string,
  signal?: AbortSignal,
): Promise<number> {
  const response = await fetch(`${target.url}/xrpc/${METHOD}`, {
    method: "POST",
    headers: { "authorization": `Bearer ${token}`, "x-forwarded-for": address },
    body: JSON.stringify({ room: "notes" }),
    signal,
  });
  await response.body?.cancel();
  return response.status;
}

Deno.test("HP11: tokens that name slow hosts keep no other account of did:web out", async () => {
  await using target = await Target.start({
    TRUSTED_PROXIES: "127.0.0.1",
    UNSAFE_ALLOW_LOCAL_DIDS: "true",
  });
  const aud = `did:web:localhost%3A${new URL(target.url).port}`;
  // Each listens, and answers nothing.
  const slow = Array.from(
    { length: dose(150, 500) },
    () => Deno.listen({ hostname: "127.0.0.1", port: 0 }),
  );
  const host = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    () => Response.json(documentOf(honest)),
  );
  const honest = await makeAccount(didAt(host.addr));
  let status = 0;
  const asked: Deno.Conn[] = [];
  // Which of them are asked is chance: the tokens race each other.
  const enough = Promise.withResolvers<void>();
  for (const listener of slow) {
    listener.accept().then((line) => {
      asked.push(line);
      if (asked.length === 10) enough.resolve();
    }, () => {}); // it was closed at the end of the test
  }
  await target.withstands(`HP11 (A11), ${slow.length} slow hosts`, async () => {
    const giveUp = new AbortController();
    const asking = slow.map(async (listener) => {
      const claims = goodClaims(didAt(listener.addr as Deno.NetAddr), systemClock);
      const token = forgeToken({ ...claims, aud, lxm: METHOD });
      return await ask(target, token, "198.51.100.1", giveUp.signal).catch(() => 0);
    });
    await enough.promise;
    const token = await goodToken(honest, systemClock, { aud, lxm: METHOD });
    status = await ask(target, token, "203.0.113.5");
    giveUp.abort();
    const refused = (await Promise.all(asking)).filter((each) => each !== 0).length;
    asked.forEach((line) => line.close());
    return `an honest account gets ${status}; ${refused} of the others were refused at once`;
  }, { isWork: true });
  assertEquals(status, 200);
  slow.forEach((listener) => listener.close());
  await host.shutdown();
});
