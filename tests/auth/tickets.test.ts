import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { type Grant, TICKET_TTL, Tickets } from "../../src/auth/tickets.ts";
import { Refusal } from "../../src/refusal.ts";
import { FakeClock } from "../fake_clock.ts";

const GRANT: Grant = { did: "did:plc:aliceaaaaaaaaaaaaaaaaaaa", room: "notes", role: "writer" };

async function press() {
  const kv = await Deno.openKv(":memory:");
  const clock = new FakeClock();
  return { kv, clock, tickets: new Tickets(kv, clock), [Symbol.dispose]: () => kv.close() };
}

const refused = (redeeming: Promise<Grant>) =>
  assertRejects(() => redeeming, Refusal, "unknown, used or expired");

Deno.test("T1: a ticket is 32 random bytes in base64url, and stands for its grant", async () => {
  using it = await press();
  const [one, two] = [await it.tickets.issue(GRANT), await it.tickets.issue(GRANT)];
  assertMatch(one.ticket, /^[A-Za-z0-9_-]{43}$/);
  assert(one.ticket !== two.ticket);
  assertEquals(await it.tickets.redeem(one.ticket), GRANT);
  assertEquals((await refused(it.tickets.redeem("x".repeat(43)))).status, 401);
});

Deno.test("T2: only a hash of a ticket is at rest", async () => {
  using it = await press();
  const { ticket } = await it.tickets.issue(GRANT);
  const secret = atob(ticket.replaceAll("-", "+").replaceAll("_", "/"));
  let entries = 0;
  for await (const { key, value } of it.kv.list({ prefix: [] })) {
    const stored = JSON.stringify([key, value]);
    assert(!stored.includes(ticket) && !stored.includes(secret), stored);
    entries++;
  }
  assertEquals(entries, 1);
});

Deno.test("T3: fifty race with one ticket, exactly one wins", async () => {
  using it = await press();
  const { ticket } = await it.tickets.issue(GRANT);
  const racers = await Promise.allSettled(
    Array.from({ length: 50 }, () => it.tickets.redeem(ticket)),
  );
  assertEquals(racers.filter(({ status }) => status === "fulfilled").length, 1);
  await refused(it.tickets.redeem(ticket));
});

Deno.test("T4: a ticket is good for 30 seconds by our own clock", async () => {
  using it = await press();
  const [early, late] = [await it.tickets.issue(GRANT), await it.tickets.issue(GRANT)];
  assertEquals(early.expiresAt, it.clock.now() + 30_000);
  it.clock.advance(TICKET_TTL - 1);
  await it.tickets.redeem(early.ticket);
  it.clock.advance(1);
  await refused(it.tickets.redeem(late.ticket));
});

Deno.test("T4: a clock that is set back revives no ticket, and one that is set on ends none", async () => {
  using it = await press();
  const [late, early] = [await it.tickets.issue(GRANT), await it.tickets.issue(GRANT)];
  it.clock.set(60 * 60_000);
  await it.tickets.redeem(early.ticket);
  it.clock.advance(TICKET_TTL);
  it.clock.set(-2 * 60 * 60_000);
  await refused(it.tickets.redeem(late.ticket));
});

Deno.test("T4: a ticket is good for 30 seconds on another instance too, by its own clock", async () => {
  using it = await press();
  const elsewhere = new FakeClock();
  const other = new Tickets(it.kv, elsewhere);
  const [early, late] = [await it.tickets.issue(GRANT), await it.tickets.issue(GRANT)];
  elsewhere.advance(TICKET_TTL - 1);
  await other.redeem(early.ticket);
  elsewhere.advance(1);
  await refused(other.redeem(late.ticket));
});
