import { assert, assertEquals } from "@std/assert";
import { systemClock } from "../../src/clock.ts";
import { FakePlc } from "../did/fake_plc.ts";
import { documentOf, goodToken, makeAccount, plcDid } from "../auth/service_jwt_maker.ts";
import { ALICE, DEV_TOKEN, StockClient } from "./clients.ts";
import { ServerProcess } from "./server_process.ts";
import { until } from "../until.ts";

/** A span, as it is sent: https://opentelemetry.io/docs/specs/otlp/. */
interface Span {
  name: string;
  attributes: { key: string; value: Record<string, unknown> }[];
}

/** Takes what OpenTelemetry sends, and keeps it. */
class Collector implements AsyncDisposable {
  readonly spans: Span[] = [];
  /** All that has come, as it came. */
  text = "";
  readonly #server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    async (request) => {
      const text = await request.text();
      this.text += text;
      for (const { scopeSpans } of JSON.parse(text).resourceSpans ?? []) {
        for (const { spans } of scopeSpans) this.spans.push(...spans);
      }
      return Response.json({});
    },
  );

  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#server.shutdown();
  }
}

Deno.test("E6: with OTEL_DENO a join, a commit and a DID look-up are spans, and no secret is in what is sent", async () => {
  await using collector = new Collector();
  await using plc = new FakePlc();
  const folder = await Deno.makeTempDir();
  await using server = await ServerProcess.start({
    KV_PATH: `${folder}/store.sqlite3`,
    PLC_URL: plc.url,
    UNSAFE_DEV_TOKEN: DEV_TOKEN,
    OTEL_DENO: "true",
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    OTEL_BSP_SCHEDULE_DELAY: "100",
  });
  const account = await makeAccount(plcDid("traced"));
  plc.publish(documentOf(account));
  const jwt = await goodToken(account, systemClock, {
    aud: `did:web:localhost%3A${new URL(server.url).port}#roomy_syncserver`,
    lxm: "chat.roomy.v0.sync.getTicket",
  });
  const response = await fetch(`${server.url}/xrpc/chat.roomy.v0.sync.getTicket`, {
    method: "POST",
    headers: { authorization: `Bearer ${jwt}` },
    body: JSON.stringify({ room: "notes" }),
  });
  const { ticket } = await response.json();
  using alice = new StockClient(`${server.socketUrl}/sync`, "notes", { ticket });
  using bob = new StockClient(`${server.socketUrl}/sync/as/${ALICE}`, "notes", {
    ticket: DEV_TOKEN,
  });
  await Promise.all([alice.synced(), bob.synced()]);
  alice.text.insert(0, "what nobody else is to read");
  await bob.reads(alice.text.toString());

  const expected = ["join", "commit", "look up DID"];
  await until(() => expected.every((name) => collector.spans.some((span) => span.name === name)));
  const roomsOf = (name: string) =>
    collector.spans.filter((span) => span.name === name).map(({ attributes }) =>
      attributes.find(({ key }) => key === "tessera.room")?.value.stringValue
    );
  assertEquals(new Set([...roomsOf("join"), ...roomsOf("commit")]), new Set(["notes"]));
  await server.stop();
  for (const secret of [ticket, jwt, jwt.split(".").at(-1)!, DEV_TOKEN, "nobody else"]) {
    assert(!collector.text.includes(secret), `it tells ${secret}`);
  }
  await Deno.remove(folder, { recursive: true });
});
