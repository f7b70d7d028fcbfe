import { assertEquals, assertRejects } from "@std/assert";
import type { Authenticator } from "../../src/auth/authenticator.ts";
import { devToken } from "../../src/auth/dev_token.ts";
import { open } from "../../src/auth/open.ts";
import { sharedToken } from "../../src/auth/shared_token.ts";
import { verify } from "../../src/auth/verify.ts";
import { Refusal } from "../../src/refusal.ts";

const ALICE = "did:plc:aliceaaaaaaaaaaaaaaaaaaa";

/** Who an authenticator takes the caller for: a DID, or the name of the refusal. */
async function who(way: Authenticator, token: string | null, claimedDid?: string): Promise<string> {
  const call = {
    token,
    claimedDid: () => Promise.resolve(claimedDid),
    address: "192.0.2.1",
    method: "com.example.sync.getTicket",
  };
  const identify = async () => (await way.authenticate(call)).did;
  return await identify().catch((error) => error instanceof Refusal ? error.name : error);
}

Deno.test("A16: open() believes everyone", async () => {
  assertEquals(await who(open(), null), "did:web:anyone.invalid");
  assertEquals(await who(open(), "whatever", ALICE), ALICE);
});

Deno.test("A17: sharedToken() lets in who knows the secret, as nobody in particular", async () => {
  const way = sharedToken("open sesame");
  assertEquals(await who(way, "open sesame", ALICE), "did:web:anyone.invalid");
  assertEquals(await who(way, "open barley"), "InvalidToken");
  assertEquals(await who(way, ""), "InvalidToken");
  assertEquals(await who(way, null), "AuthMissing");
});

Deno.test("A18: verify() leaves it to a function, and an error of its own is not a refusal", async () => {
  const way = verify((token) => {
    if (token === "broken") throw new Error("database away");
    return Promise.resolve(token === "alice's" ? { did: ALICE } : null);
  });
  assertEquals(await who(way, "alice's"), ALICE);
  assertEquals(await who(way, "mallory's"), "InvalidToken");
  const claimedDid = () => Promise.resolve(undefined);
  const call = { token: "broken", address: "", method: "", claimedDid };
  await assertRejects(() => way.authenticate(call), Error, "database away");
});

Deno.test("A19: the development token stands for the DID that the request names; others go on", async () => {
  const way = devToken("dev", verify((token) => token === "alice's" ? { did: ALICE } : null));
  assertEquals(await who(way, "dev", "did:web:bob.test"), "did:web:bob.test");
  assertEquals(await who(way, "dev"), "InvalidRequest");
  assertEquals(await who(way, "alice's"), ALICE);
  assertEquals(await who(way, "de"), "InvalidToken");
});
