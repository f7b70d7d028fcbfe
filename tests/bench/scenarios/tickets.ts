import { systemClock } from "../../../src/clock.ts";
import { FakePlc } from "../../did/fake_plc.ts";
import {
  type Account,
  documentOf,
  goodToken,
  makeAccount,
  plcDid,
} from "../../auth/service_jwt_maker.ts";
import type { Running } from "../contenders/contender.ts";
import { MeasuringWindow } from "../measuring_window.ts";
import { eachOf } from "../pause.ts";
import { RawSocket } from "../wire/raw_socket.ts";
import type { Scenario } from "./scenario.ts";

const ACCOUNTS = 50;
const AT_ONCE = 32;
const METHOD = "chat.roomy.v0.sync.getTicket";

/** A token is good for a minute and a ticket for half of one, so they cannot be more. */
const TICKETS = { short: 4_000, long: 12_000 };

/** Service JWTs (ES256K, a warm DID cache) become tickets over HTTP, and each ticket a socket of its own. */
export const tickets: Scenario = {
  name: "tickets",
  about: `${ACCOUNTS} accounts, ${AT_ONCE} calls of ${METHOD} at once; then as many sockets`,
  isShort: false,
  headline: { metric: "issued/s", better: "more" },
  suits: ({ name }) => name === "tessera",
  async run({ form, start }) {
    await using plc = new FakePlc();
    // All accounts open one room, which with owners would be the first account's alone.
    const server = await start({ env: { PLC_URL: plc.url, ACCESS_POLICY: "open" } });
    const accounts = await Promise.all(
      Array.from({ length: ACCOUNTS }, (_, n) => makeAccount(plcDid(`account${letters(n)}`))),
    );
    for (const account of accounts) plc.publish(documentOf(account));
    await issue(server, await sign(server, accounts, ACCOUNTS));

    const tokens = await sign(server, accounts, TICKETS[form]);
    let done = 0;
    const issuing = await MeasuringWindow.open(server, () => done);
    const issued = await issue(server, tokens, () => done++);
    const metrics = await issuing.close("issued");
    done = 0;
    const redeeming = await MeasuringWindow.open(server, () => done);
    await redeem(server, issued, () => done++);
    return { ...metrics, ...await redeeming.close("redeemed") };
  },
};

/** A token for each call, signed ahead, lest the signing be measured. */
async function sign(server: Running, accounts: Account[], count: number): Promise<string[]> {
  const aud = `did:web:localhost%3A${portOf(server)}`;
  return await Promise.all(
    Array.from(
      { length: count },
      (_, n) => goodToken(accounts[n % accounts.length]!, systemClock, { aud, lxm: METHOD }),
    ),
  );
}

async function issue(server: Running, tokens: string[], done = () => {}): Promise<string[]> {
  const issued: string[] = [];
  await eachOf(tokens, AT_ONCE, async (token) => {
    const answer = await fetch(`http://127.0.0.1:${portOf(server)}/xrpc/${METHOD}`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify({ room: "tickets" }),
    });
    const { ticket, message } = await answer.json();
    if (!answer.ok) throw new Error(message);
    issued.push(ticket);
    done();
  });
  return issued;
}

async function redeem(server: Running, issued: string[], done: () => void): Promise<void> {
  const url = `ws://127.0.0.1:${portOf(server)}/sync/tickets`;
  await eachOf(issued, AT_ONCE, async (ticket) => {
    const socket = await RawSocket.open({ url, protocols: ["authorization", ticket] });
    socket.close();
    done();
  });
}

function portOf(server: Running): string {
  return new URL(server.address("tickets").url).port;
}

/** A DID of did:plc has letters, and 2 to 7. */
function letters(n: number): string {
  return String.fromCharCode(97 + Math.floor(n / 26), 97 + n % 26);
}
