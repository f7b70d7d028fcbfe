/// <reference lib="dom" />
/** The demo: choose who you are, and write together. */
import { type Account, type Cast, signIn } from "./account.ts";
import { byId, face, make } from "./elements.ts";
import { createNames } from "./names.ts";
import { openRoom } from "./room.ts";

/** Whoever names no room means this one. */
const ROOM = "Minutes of the tile makers";

const cast: Cast = await (await fetch("/demo/cast.json")).json();

byId("sign-in-note").textContent = "pds" in cast
  ? `These accounts live on a PDS of this machine, ${new URL(cast.pds).host}.`
  : "There is no PDS on this machine: these accounts are made up, by a development token.";
byId("accounts").replaceChildren(...cast.accounts.map(({ handle, did }) => {
  const button = make("button", { type: "button" }, face(did, handle));
  const [name] = handle.split(".");
  button.append(
    make("span", {}, name![0]!.toUpperCase() + name!.slice(1), make("small", {}, handle)),
  );
  button.onclick = () => enter(handle);
  return make("li", {}, button);
}));
byId("leave").onclick = () => {
  sessionStorage.removeItem("account");
  location.reload();
};

const handle = sessionStorage.getItem("account");
if (cast.accounts.some((account) => account.handle === handle)) enter(handle!);
else byId("sign-in").hidden = false;

async function enter(handle: string): Promise<void> {
  byId("sign-in").hidden = true;
  try {
    await enterAs(await signIn(cast, handle));
    sessionStorage.setItem("account", handle);
  } catch (error) {
    byId("sign-in").hidden = false;
    byId("sign-in-note").textContent = `${handle} can't come in: ${(error as Error).message}`;
  }
}

async function enterAs(account: Account): Promise<void> {
  const asked = new URLSearchParams(location.hash.slice(1));
  const room = asked.get("room") ?? ROOM;
  const invite = asked.get("invite");
  if (invite !== null) {
    // A secret is to stay neither in the address bar nor in the history.
    history.replaceState(null, "", `/demo/#${new URLSearchParams({ room })}`);
    await account.call("redeemInvite", {}, { room, secret: invite }).catch(() => {}); // the room will say
  }
  openRoom(account, room, createNames((did) => verifiedHandle(account, did)));
}

/** The handle of a DID, if its document claims one that leads back to it. */
async function verifiedHandle(account: Account, did: string): Promise<string | null> {
  if (!("pds" in cast)) return did.slice("did:web:".length);
  const document = await (await fetch(`/demo/did/${did}`)).json();
  const handle = document.alsoKnownAs?.[0]?.replace("at://", "");
  return handle && await account.resolve(handle) === did ? handle : null;
}
