import type { Lexicons } from "@atproto/lexicon";
import type { Identity } from "../auth/authenticator.ts";
import { Refusal } from "../refusal.ts";
import { json } from "./answers.ts";
import { readJson } from "./body.ts";
import { lexicons } from "./lexicons.ts";
import type { IncomingRequest } from "../transport/transport.ts";
import type { Exchange } from "./exchange.ts";
import type { Parts } from "./parts.ts";
import { roomNameFault } from "../sync/room_name.ts";

/** What a method gets to see: who calls from where, and what it sends. All have been checked. */
export interface Invocation<Input> {
  caller: Identity;
  /** The network address of the caller. */
  address: string;
  input: Input;
}

/** The work of one method. What it returns is the body of a 200. */
export type Method<Input> = (invocation: Invocation<Input>, parts: Parts) => Promise<unknown>;

/** Serves a procedure: the input is the body. */
export function procedure<Input>(name: string, method: Method<Input>) {
  return async (exchange: Exchange, parts: Parts): Promise<Response> => {
    let reading: Promise<unknown> | undefined;
    // Not read before the caller is known, unless that is for the body to say: a body makes us wait.
    const read = () => reading ??= readJson(exchange.request, parts.clock);
    const caller = await authenticate(name, exchange, parts, async () => didOf(await read()));
    const body = await read();
    const nsid = `${parts.face.nsidPrefix}.${name}`;
    const input = await checked((lexicons) => lexicons.assertValidXrpcInput(nsid, body), parts);
    return await answer(method, caller, input as Input, exchange, parts);
  };
}

/** Serves a query: the input is in the URL. */
export function query<Input>(name: string, method: Method<Input>) {
  return async (exchange: Exchange, parts: Parts): Promise<Response> => {
    const { searchParams } = exchange.url;
    const params = Object.fromEntries(searchParams);
    const caller = await authenticate(name, exchange, parts, () => Promise.resolve(params.did));
    for (const name of Object.keys(params)) {
      if (searchParams.getAll(name).length === 1) continue;
      throw new Refusal("InvalidRequest", 400, "A parameter is given more than once.");
    }
    const nsid = `${parts.face.nsidPrefix}.${name}`;
    const input = await checked(
      (lexicons) => lexicons.assertValidXrpcParams(nsid, withNumbers(lexicons, nsid, params)),
      parts,
    );
    return await answer(method, caller, input as Input, exchange, parts);
  };
}

/** Runs the method, and notes for the log which room, member and role the call is about. */
async function answer<Input>(
  method: Method<Input>,
  caller: Identity,
  input: Input,
  { found, address }: Exchange,
  parts: Parts,
): Promise<Response> {
  const { room, member, role } = input as Subject;
  if (room !== undefined && roomNameFault(room) === null) found.room = room;
  Object.assign(found, member !== undefined && { member }, role !== undefined && { role });
  const result = await method({ caller, address, input }, parts);
  const given = (result as Subject).role;
  if (given !== undefined) found.role = given;
  return json(result);
}

/** What the input of a method may name; its lexicon has bounded it. */
interface Subject {
  room?: string;
  member?: string;
  role?: string;
}

/** In a URL all is text. What is not a decimal integer stays text, and the lexicon refuses it. */
function withNumbers(
  lexicons: Lexicons,
  nsid: string,
  params: Record<string, string>,
): Record<string, unknown> {
  const { parameters } = lexicons.getDefOrThrow(nsid, ["query"]);
  const read = ([name, text]: [string, string]) => {
    const isNumber = parameters?.properties?.[name]?.type === "integer";
    return [name, isNumber && /^-?\d+$/.test(text) ? Number(text) : text];
  };
  return Object.fromEntries(Object.entries(params).map(read));
}

async function authenticate(
  name: string,
  { request, address, found }: Exchange,
  { authenticator, face }: Parts,
  readDid: () => Promise<unknown>,
): Promise<Identity> {
  const claimedDid = async () => await didOrNothing(await readDid());
  const caller = await authenticator.authenticate({
    token: bearerToken(request),
    method: `${face.nsidPrefix}.${name}`,
    address,
    claimedDid,
  });
  found.did = caller.did;
  const claimed = await claimedDid();
  if (claimed !== undefined && claimed !== caller.did) {
    throw new Refusal("Forbidden", 403, `The token is for ${caller.did}, not for ${claimed}.`);
  }
  return caller;
}

function didOf(body: unknown): unknown {
  return (body as { did?: unknown } | null)?.did;
}

/** A DID of an account has at most 261 bytes, and a key of the store 2,048 for it and a room. */
const MAX_DID_LENGTH = 512;

async function didOrNothing(did: unknown): Promise<string | undefined> {
  if (typeof did !== "string") return undefined;
  const { isValidDid } = await import("@atproto/syntax");
  if (did.length > MAX_DID_LENGTH || !isValidDid(did)) {
    throw new Refusal("InvalidRequest", 400, "The did is not a DID.");
  }
  return did;
}

/** The token of `Authorization: Bearer`: https://www.rfc-editor.org/rfc/rfc6750#section-2.1. */
export function bearerToken(request: IncomingRequest): string | null {
  const match = /^Bearer +(\S+)$/i.exec(request.headers.get("authorization") ?? "");
  return match?.[1] ?? null;
}

let known: { prefix: string; lexicons: Lexicons } | undefined;

async function checked(
  check: (lexicons: Lexicons) => unknown,
  { face: { nsidPrefix } }: Parts,
): Promise<unknown> {
  const { Lexicons, ValidationError } = await import("@atproto/lexicon");
  if (known?.prefix !== nsidPrefix) {
    known = { prefix: nsidPrefix, lexicons: new Lexicons(lexicons(nsidPrefix)) };
  }
  try {
    return check(known.lexicons);
  } catch (error) {
    if (!(error instanceof ValidationError)) throw error;
    throw new Refusal("InvalidRequest", 400, error.message);
  }
}
