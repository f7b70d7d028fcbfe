import { assert, assertEquals, assertMatch } from "@std/assert";
import * as Y from "yjs";
import {
  type GetTicket,
  ProviderError,
  TesseraProvider,
  type Ticket,
} from "../../src/client/mod.ts";
import { type FakeSocket, FakeWorld, settled, ticketFor } from "./fake_world.ts";

const HOUR = 3_600_000;

/** Rooms of one app in a world of their own. Tickets are counted, and given unless a test says otherwise. */
class App {
  readonly asked: number[] = [];
  readonly providers: TesseraProvider[];
  answer: GetTicket = ({ room }) => Promise.resolve(ticketFor(room, this.asked.length));

  constructor(readonly world = new FakeWorld(), rooms = ["notes"]) {
    this.providers = rooms.map((room) => this.join(room));
  }

  join(room: string): TesseraProvider {
    const getTicket: GetTicket = (request) => {
      this.asked.push(this.world.uptime());
      return this.answer(request);
    };
    const options = { endpoint: "https://sync.example.com/", getTicket };
    return new TesseraProvider(room, new Y.Doc(), options, this.world);
  }

  get provider(): TesseraProvider {
    return this.providers[0]!;
  }

  get socket(): FakeSocket {
    return this.world.sockets.at(-1)!;
  }

  /** How long it was from each question to the next, in ms. */
  get waits(): number[] {
    return this.asked.slice(1).map((at, n) => at - this.asked[n]!);
  }

  /** A connection that is as good as any, for `ms` milliseconds. */
  async hold(ms: number): Promise<void> {
    await settled();
    this.socket.open().sync();
    await this.world.pass(ms);
  }

  /** Resolves when it asks for its next ticket. */
  async asksAgain(): Promise<void> {
    const { length } = this.asked;
    while (this.asked.length === length) await this.world.pass(100);
  }

  [Symbol.dispose](): void {
    for (const provider of this.providers) provider.doc.destroy();
  }
}

const refusal = (name: string, status: number, retryAfter?: number) => () =>
  Promise.reject(new ProviderError(name, "No.", { status, retryAfter }));

Deno.test("J1: each connection has a ticket of its own, which is in no address", async () => {
  using app = new App();
  for (let n = 1; n <= 3; n++) {
    await app.hold(20_000);
    assertEquals(app.provider.status, "online");
    app.socket.end(1001);
    await app.world.pass(1_000);
  }
  assertEquals(
    app.world.sockets.map(({ url }) => url),
    Array(4).fill("wss://sync.example.com/sync/notes"),
  );
  assertEquals(
    app.world.sockets.map(({ protocols }) => protocols),
    [1, 2, 3, 4].map((n) => ["authorization", `ticket-${n}`]),
  );
});

Deno.test("J2: after each failure it waits up to twice as long, 30 s at most, and draws how long", async () => {
  const longest = Array(8).fill(0);
  const waits = new Set<number>();
  for (let seed = 0; seed < 100; seed++) {
    using app = new App(new FakeWorld(seed));
    app.world.onSocket = (socket) => socket.end();
    while (app.waits.length < longest.length) await app.world.pass(1_000);
    app.waits.slice(0, longest.length).forEach((wait, n) => {
      waits.add(wait);
      longest[n] = Math.max(longest[n], wait);
    });
    assertEquals(app.provider.status, "offline");
  }
  [1, 2, 4, 8, 16, 30, 30, 30].forEach((most, n) => {
    assert(longest[n] <= most * 1_000, `${longest}`);
    assert(longest[n] > most * 900, `${longest}`);
  });
  assertEquals(waits.size, 800);
});

Deno.test("J2: a connection that held for ten seconds was none that failed, one that did not was", async () => {
  using app = new App();
  for (let n = 0; n < 20; n++) {
    await app.hold(10_000);
    app.socket.end();
    await app.world.pass(1_000);
    assertEquals(app.asked.length, n + 2);
  }
  for (let n = 0; n < 10; n++) {
    await app.hold(9_000);
    app.socket.end();
    await app.world.pass(30_000);
  }
  assert(app.waits.slice(-3).some((wait) => wait > 15_000), `${app.waits}`);
});

Deno.test("J3: what the service says of coming back is obeyed, whatever wakes it, by all rooms", async () => {
  using app = new App(new FakeWorld(), ["notes", "plans", "drafts"]);
  app.answer = refusal("RateLimitExceeded", 429, 120_000);
  await app.world.pass(1);
  const { length } = app.asked;
  for (let s = 0; s < 119; s++) {
    await app.world.pass(1_000);
    app.world.sign(s % 2 ? "online" : "visible");
  }
  assertEquals(app.asked.length, length);
  await app.world.pass(40_000);
  assert(app.asked.length > length);
});

Deno.test("J3: of many who are told the same moment, each comes at one of its own after it", async () => {
  const waits = await Promise.all(Array.from({ length: 40 }, async (_, seed) => {
    using app = new App(new FakeWorld(seed));
    app.answer = refusal("StoreUnavailable", 503, 5_000);
    await app.world.pass(20_000);
    return app.waits[0]!;
  }));
  assert(Math.min(...waits) >= 5_000, `${waits}`);
  for (const [from, to] of [[5_000, 7_000], [7_000, 9_000], [9_000, 11_000], [11_000, 13_000]]) {
    assert(waits.some((wait) => wait >= from! && wait < to!), `nobody from ${from} to ${to}`);
  }
});

Deno.test("J4: 4401 costs a new ticket at once; 4403, 4404 and a refusal stop it, till it is told to connect", async () => {
  using app = new App();
  await app.hold(10_000);
  app.socket.end(4401, "the session is over");
  await settled();
  assertEquals([app.asked.length, app.provider.status], [2, "connecting"]);

  const said: string[] = [];
  app.provider.addEventListener("status", () => said.push(app.provider.status));
  for (
    const [code, words] of [[4403, "You were taken out."], [4404, "The room was deleted."]] as const
  ) {
    await app.hold(60_000);
    app.socket.end(code, words.toLowerCase().slice(0, -1));
    await app.world.pass(HOUR);
    assertEquals([app.provider.status, app.provider.role], ["denied", null]);
    assertEquals([app.provider.error?.code, app.provider.error?.message], [code, words]);
    app.world.sign("online");
    await app.world.pass(HOUR);
    const { length } = app.asked;
    app.provider.connect();
    await settled();
    assertEquals([app.asked.length, app.provider.status], [length + 1, "connecting"]);
  }
  const once = ["online", "denied", "connecting"];
  assertEquals(said, [...once, ...once], "nobody is told that it is offline, and tries again");
  await app.hold(60_000);
  app.answer = refusal("Forbidden", 403);
  app.socket.end(1001);
  await app.world.pass(HOUR);
  assertEquals([app.provider.status, app.provider.error?.name], ["denied", "Forbidden"]);
});

Deno.test("J4: who is asked to be slower comes back within 8 s at first, and then slower still", async () => {
  for (const code of [1009, 1013, 4400, 4429]) {
    const waits: number[][] = [[], []];
    for (let seed = 0; seed < 40; seed++) {
      using app = new App(new FakeWorld(seed));
      for (const some of waits) {
        await app.hold(60_000);
        app.socket.end(code);
        await app.asksAgain();
        some.push(app.waits.at(-1)! - 60_000);
      }
    }
    const [first, second] = waits.map((some) => Math.max(...some));
    assert(first! > 6_000 && first! <= 8_100, `${code}: ${first}`);
    assert(second! > 12_000 && second! <= 16_100, `${code}: ${second}`);
  }
});

Deno.test("J5: the network's return and a look at the page wake it, two seconds after its last attempt", async () => {
  for (const sign of ["online", "visible"] as const) {
    using app = new App(new FakeWorld(5));
    app.world.onSocket = (socket) => socket.end();
    await app.world.pass(300_000);
    while (app.world.uptime() - app.asked.at(-1)! < 3_000) await app.world.pass(500);
    const { length } = app.asked;
    app.world.sign(sign);
    app.world.sign(sign);
    await settled();
    assertEquals(app.asked.length, length + 1);
    if (sign === "online") continue; // what failed before counts for less, and the next wait is short
    app.world.sign(sign);
    await app.world.pass(1_900);
    assertEquals(app.asked.length, length + 1);
  }
});

const TWO = ["notes", "plans"];

/** How a service can behave. Whatever it does, and however often it wakes us, it is asked seldom. */
const HOSTILE: Record<string, (app: App) => void> = {
  "nobody is there": ({ world }) => world.onSocket = (socket) => socket.end(),
  "it hangs up at once": ({ world }) => world.onSocket = (socket) => socket.open().end(1000),
  "it hangs up once all is well": ({ world }) =>
    world.onSocket = (socket) => socket.open().sync().end(1011),
  "every session is over": ({ world }) =>
    world.onSocket = (socket) => socket.open().sync().end(4401),
  "it takes, and says nothing": ({ world }) => world.onSocket = (socket) => socket.open(),
  "it never answers": () => {},
  "it sends rubbish and hangs up": ({ world }) =>
    world.onSocket = (socket) => {
      socket.open();
      socket.hear(2, 9, 9);
      socket.end(1002);
    },
  "tickets fail": (app) => app.answer = () => Promise.reject(new TypeError("fetch failed")),
  "tickets fail in our own code": (app) =>
    app.answer = () => {
      throw new Error("oops");
    },
  "tickets are refused": (app) => app.answer = refusal("JwtExpired", 401),
  "it says: come back now": (app) => app.answer = refusal("TooBusy", 503, 0),
  "it says: come back in a moment that never was": (app) =>
    app.answer = refusal("TooBusy", 503, Number.NaN),
  "tickets never come": (app) => app.answer = () => new Promise(() => {}),
  "tickets are none": (app) => app.answer = () => Promise.resolve({} as never),
  "one room fails and the other does not": (app) =>
    app.answer = ({ room }) =>
      room === "notes"
        ? Promise.resolve(ticketFor(room, 1))
        : Promise.reject(new ProviderError("UpstreamFailure", "No.", { status: 502 })),
};

for (const [how, behave] of Object.entries(HOSTILE)) {
  Deno.test(`J6: no hot loop: ${how}`, async () => {
    for (const isWoken of [false, true]) {
      using app = new App(new FakeWorld(7), TWO);
      behave(app);
      const stopWaking = isWoken ? wakeOften(app.world) : () => {};
      await app.world.pass(HOUR / 4);
      stopWaking();
      // On an average, one in ten seconds; or, if it is woken all the time, one in one.
      const most = TWO.length * (isWoken ? 900 : 90);
      assert(app.asked.length <= most, `asked ${app.asked.length} times`);
      for (let n = 0; n < 50; n++) app.world.sign("visible");
      await settled();
      assert(app.asked.length <= most + TWO.length);
      assert(app.provider.status !== "denied");
    }
  });
}

function wakeOften(world: FakeWorld): () => void {
  let cancel = () => {};
  const wake = () => {
    world.sign(world.random() < 0.5 ? "online" : "visible");
    cancel = world.after(250, wake);
  };
  wake();
  return () => cancel();
}

Deno.test("J7: it says how it stands, and why, by events", async () => {
  using app = new App();
  const { provider } = app;
  const said: string[] = [];
  for (const type of ["status", "role", "error"] as const) {
    provider.addEventListener(type, () => {
      const { status, role, error } = provider;
      said.push(type === "status" ? status : type === "role" ? `${role}` : error!.name);
    });
  }
  assertEquals([provider.status, provider.role, provider.did], ["connecting", null, null]);
  await app.hold(1_000);
  assertEquals(provider.did, "did:plc:aliceaaaaaaaaaaaaaaaaaaa");
  app.socket.hear(2, 1, 6, ...new TextEncoder().encode("reader"));
  app.socket.hear(2, 0, 2, ...new TextEncoder().encode("No"));
  assertEquals(provider.error?.message, "No.");
  app.socket.hear(2, 7, 1, 1); // what a later service may say
  app.socket.end(1001, "the service is restarting");
  await settled();
  assertMatch(provider.error!.message, /restarting/);
  await app.world.pass(1_000);
  await app.hold(0);
  assertEquals(provider.error, null);
  provider.disconnect();
  provider.destroy();
  assertEquals(said, [
    ...["writer", "online", "reader", "NotAllowed"],
    ...["Closed", "offline", "writer", "online", "offline"],
  ]);
});

Deno.test("J7: what goes wrong on the way to a ticket has a name of its own, and keeps its cause", async () => {
  class SessionExpired extends Error {}
  const ways: [string, GetTicket][] = [
    ["Unreachable", () => Promise.reject(new TypeError("fetch failed"))],
    ["NoTicket", () => Promise.reject(new SessionExpired("Sign in again."))],
    ["NoTicket", () => Promise.resolve({ token: "what Roomy's call gives" } as never)],
    ["NoTicket", () => Promise.resolve(undefined as never)],
  ];
  for (const [name, answer] of ways) {
    using app = new App();
    app.answer = answer;
    await app.world.pass(0);
    const { status, error } = app.provider;
    assertEquals([status, error?.name], ["offline", name]);
    assertMatch(error!.message, / (cannot be reached|sign in again|no ticket for this document)\./);
    if (answer.toString().includes("SessionExpired")) {
      assert(error?.cause instanceof SessionExpired);
    }
    assertEquals(app.world.sockets, []);
  }
  {
    using app = new App();
    app.world.onSocket = (socket) => socket.end();
    await app.world.pass(0);
    assertEquals(app.provider.error?.message, "The service did not open a connection.");
    app.world.onSocket = () => {};
    await app.world.pass(1_000);
    app.socket.open().end();
    await settled();
    assertEquals(app.provider.error?.message, "The connection was lost.");
  }
  using app = new App();
  Object.defineProperty(app.world, "WebSocket", {
    value: class {
      constructor() {
        throw new DOMException("Not from a page over https.", "SecurityError");
      }
    },
  });
  const refused = app.join("notes");
  await app.world.pass(0);
  assertEquals([refused.status, refused.error?.name], ["offline", "Unreachable"]);
  refused.destroy();
});

Deno.test("J11: while a service is away one room asks for all; when it is back, four at a time", async () => {
  const rooms = Array.from({ length: 20 }, (_, n) => `room ${n}`);
  using app = new App(new FakeWorld(), rooms);
  app.answer = () => Promise.reject(new TypeError("fetch failed"));
  await app.world.pass(300_000);
  assert(app.asked.length < 50, `${app.asked.length}`);

  let underWay = 0;
  const most: number[] = [];
  app.answer = async ({ room }) => {
    most.push(++underWay);
    await new Promise<void>((resolve) => app.world.after(100, resolve));
    underWay--;
    return ticketFor(room, 1);
  };
  app.world.onSocket = (socket) => socket.open().sync();
  await app.world.pass(35_000);
  assertEquals(app.providers.map(({ status }) => status), rooms.map(() => "online"));
  assertEquals([most[0], most[1], Math.max(...most), most.length], [1, 1, 4, 20]);
});

Deno.test("J12: a line that is dead is given up: when the network goes, or nothing is acknowledged", async () => {
  const silent: ((app: App) => void)[] = [
    ({ world }) => world.sign("offline"),
    ({ provider }) => provider.doc.getText("text").insert(0, "hello"),
  ];
  for (const begin of silent) {
    using app = new App();
    await app.hold(60_000);
    begin(app);
    await app.world.pass(10_000);
    assertEquals([app.provider.status, app.provider.error?.message], [
      "offline",
      "The service did not answer.",
    ]);
  }
  for (const begin of silent) {
    using app = new App();
    await app.hold(60_000);
    app.socket.onSent = ([type, kind]) =>
      type === 0 && kind === 0 && app.socket.hear(0, 1, 2, 0, 0);
    begin(app);
    await app.world.pass(60_000);
    assertEquals(app.provider.status, "online");
  }
});

Deno.test("J12: a line on which much is under way is left the time that it takes", async () => {
  using app = new App();
  await app.hold(60_000);
  const text = app.provider.doc.getText("text");
  text.insert(0, "x".repeat(100_000));
  await app.world.pass(25_000);
  assertEquals(app.provider.status, "online");
  app.socket.hear(...app.socket.sent.findLast(([type]) => type === 102)!); // all of it has arrived
  text.insert(0, "y");
  await app.world.pass(10_000);
  assertEquals(app.provider.status, "offline");
});

Deno.test("J12: a ticket that does not come is given up after 15 s, and so is a line that does not open", async () => {
  const silent: [string, (app: App) => void][] = [
    [
      "The service at https://sync.example.com did not answer.",
      (app) => app.answer = () => new Promise(() => {}),
    ],
    ["The service did not open a connection.", () => {}],
  ];
  for (const [words, begin] of silent) {
    using app = new App();
    begin(app);
    await app.world.pass(14_900);
    assertEquals([app.provider.status, app.provider.error], ["connecting", null]);
    await app.world.pass(100);
    assertEquals([app.provider.status, app.provider.error?.message], ["offline", words]);
  }
});

Deno.test("J15: who disconnects just as its ticket comes leaves nothing open", async () => {
  for (let turns = 0; turns < 12; turns++) {
    using app = new App();
    const ticket = Promise.withResolvers<Ticket>();
    app.answer = () => ticket.promise;
    await settled();
    ticket.resolve(ticketFor("notes", 1));
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    app.provider.disconnect();
    await settled();
    assertEquals(app.world.sockets.filter(({ readyState }) => readyState !== 3), []);
    assertEquals(app.provider.status, "offline");
  }
});

Deno.test("J15: who is destroyed lets go of everything, at whatever moment", async () => {
  const stages: ((app: App) => Promise<void>)[] = [
    () => Promise.resolve(),
    (app) => app.world.pass(0),
    (app) => app.hold(0),
    (app) => app.hold(60_000),
    async (app) => {
      await app.hold(1_000);
      app.socket.end();
    },
  ];
  for (const reach of stages) {
    const app = new App();
    await reach(app);
    const { doc } = app.provider;
    doc.getText("text").insert(0, "x");
    const saved = app.provider.saved().then(() => "saved", ({ name }) => name);
    doc.destroy();
    await settled();
    const { length } = app.asked;
    await app.world.pass(HOUR);
    assertEquals([app.asked.length, app.world.watchers], [length, 0]);
    assertEquals(app.provider.status, "offline");
    assertEquals(await saved, "Destroyed");
    assert(app.world.sockets.every(({ readyState }) => readyState === 3));
    let thrown = "";
    try {
      app.provider.connect();
    } catch (error) {
      thrown = (error as Error).name;
    }
    assertEquals(thrown, "Destroyed");
  }
});
