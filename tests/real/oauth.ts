import { JoseKey } from "npm:@atproto/jwk-jose@^0.2.4";
import { OAuthClient, type OAuthSession } from "npm:@atproto/oauth-client@^0.8.7";
import { atprotoLoopbackClientMetadata } from "npm:@atproto/oauth-types@^0.7.6";
import type { Browser } from "npm:playwright-core@^1.65.1";
import type { PdsServer } from "../../src/demo/pds_server.ts";

/** Signs an account in to an app by OAuth, as its owner does it: in a browser, with a password and a click. */
export async function signInByOAuth(
  pds: PdsServer,
  { did, password }: { did: string; password: string },
  scope: string,
  browser: Browser,
): Promise<OAuthSession> {
  const { promise: answer, resolve } = Promise.withResolvers<URLSearchParams>();
  await using app = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    ({ url }) => {
      const { pathname, searchParams } = new URL(url);
      if (pathname === "/callback") resolve(searchParams);
      return new Response("You are signed in.");
    },
  );
  // An app on a developer's machine: https://atproto.com/specs/oauth#localhost-client-development
  const callback = `http://127.0.0.1:${app.addr.port}/callback`;
  const query = new URLSearchParams({ redirect_uri: callback, scope });
  const client = new OAuthClient({
    clientMetadata: atprotoLoopbackClientMetadata(`http://localhost?${query}`),
    responseMode: "query",
    handleResolver: pds.url,
    plcDirectoryUrl: pds.plcUrl,
    allowHttp: true,
    stateStore: inMemory(),
    sessionStore: inMemory(),
    runtimeImplementation: {
      createKey: (algorithms) => JoseKey.generate(algorithms),
      getRandomValues: (length) => crypto.getRandomValues(new Uint8Array(length)),
      digest: async (data, { name }) => {
        const algorithm = name.replace("sha", "SHA-");
        return new Uint8Array(await crypto.subtle.digest(algorithm, new Uint8Array(data)));
      },
      requestLock: async (_name, work) => await work(),
    },
  });
  const page = await browser.newPage();
  await page.goto(String(await client.authorize(did, { scope })));
  await page.locator("input[type=password]").fill(password);
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Authorize" }).click();
  const { session } = await client.callback(await answer);
  await page.close();
  return session;
}

function inMemory<T>() {
  const values = new Map<string, T>();
  return {
    get: (key: string) => values.get(key),
    set: (key: string, value: T) => void values.set(key, value),
    del: (key: string) => void values.delete(key),
  };
}
