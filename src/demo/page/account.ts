import { devToken, type GetTicket, viaProxy } from "../../client/mod.ts";

/** What the demo tells its page: who can be chosen, and how they prove who they are. */
export type Cast =
  | { pds: string; service: string; accounts: { handle: string; did: string; password: string }[] }
  | { token: string; accounts: { handle: string; did: string }[] };

/** Somebody who is signed in. */
export interface Account {
  did: string;
  handle: string;
  getTicket: GetTicket;
  /** Calls a method of the service: a query where there is no input. @throws {Error} in words */
  call<T>(method: string, params: Record<string, string>, input?: object): Promise<T>;
  /** Whose handle this is, as a DID. @throws {Error} in words */
  resolve(handle: string): Promise<string>;
}

const PREFIX = "chat.roomy.v0.sync";

/** Signs somebody in. */
export async function signIn(cast: Cast, handle: string): Promise<Account> {
  return "pds" in cast ? await overPds(cast, handle) : withToken(cast, handle);
}

/** A real account: the user's PDS speaks for it. */
async function overPds(cast: Extract<Cast, { pds: string }>, handle: string): Promise<Account> {
  const { did, password } = cast.accounts.find((each) => each.handle === handle)!;
  const { pds, service } = cast;
  const { accessJwt } = await post<{ accessJwt: string }>(
    `${pds}/xrpc/com.atproto.server.createSession`,
    { identifier: did, password },
  );
  const fetchAsUser = (path: string, init: RequestInit) => {
    const headers = new Headers(init.headers);
    headers.set("authorization", `Bearer ${accessJwt}`);
    return fetch(pds + path, { ...init, headers });
  };
  return {
    did,
    handle,
    getTicket: viaProxy({ fetchHandler: fetchAsUser }),
    call: async (method, params, input) => {
      const path = `/xrpc/${PREFIX}.${method}?${new URLSearchParams(params)}`;
      return await read(
        await fetchAsUser(path, request(input, { "atproto-proxy": service })),
      );
    },
    resolve: async (name) => {
      if (name.startsWith("did:")) return name;
      const query = new URLSearchParams({ handle: name });
      const path = `/xrpc/com.atproto.identity.resolveHandle?${query}`;
      return (await read<{ did: string }>(await fetchAsUser(path, {}))).did;
    },
  };
}

/** For want of a PDS: the service's development token stands for anybody. */
function withToken({ token, accounts }: Extract<Cast, { token: string }>, handle: string): Account {
  const { did } = accounts.find((each) => each.handle === handle)!;
  return {
    did,
    handle,
    getTicket: devToken(token, did),
    call: async (method, params, input) => {
      const path = `/xrpc/${PREFIX}.${method}?${new URLSearchParams({ ...params, did })}`;
      const headers = { authorization: `Bearer ${token}` };
      return await read(await fetch(path, request(input && { ...input, did }, headers)));
    },
    resolve: (name) => Promise.resolve(name.startsWith("did:") ? name : `did:web:${name}`),
  };
}

function request(input: object | undefined, headers: Record<string, string>): RequestInit {
  if (input === undefined) return { headers };
  const type = { "content-type": "application/json" };
  return { method: "POST", headers: { ...headers, ...type }, body: JSON.stringify(input) };
}

async function post<T>(url: string, input: object): Promise<T> {
  return await read(await fetch(url, request(input, {})));
}

async function read<T>(answer: Response): Promise<T> {
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.message ?? body.error);
  return body;
}
