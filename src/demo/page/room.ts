import { IndexeddbPersistence } from "npm:y-indexeddb@^9.0.12";
import * as Y from "yjs";
import { TesseraProvider } from "../../client/mod.ts";
import type { Account } from "./account.ts";
import { Editor } from "./editor.ts";
import { byId, face, make } from "./elements.ts";
import { namedAwareness, type Names } from "./names.ts";
import { Network } from "./network.ts";
import { shareDialog } from "./share.ts";

/** What stands in the place of the document when one may not be there, by what the service has said. */
const DENIALS: Record<string, [title: string, words: string]> = {
  Forbidden: ["This document is private", "Ask its owner to share it with you."],
  "4403": ["You were taken out of this document", "Its owner does not share it with you any more."],
  "4404": ["This document was deleted", "Its owner has deleted it, for everybody."],
};

/** Opens a room for somebody. */
export function openRoom(account: Account, room: string, names: Names): void {
  const network = new Network();
  const doc = new Y.Doc();
  // What is typed offline outlives the window. Somebody else on this machine has a store of their own.
  let stored = new IndexeddbPersistence(`${account.did} ${room}`, doc);
  const provider = new TesseraProvider(
    room,
    doc,
    { endpoint: location.origin, getTicket: network.over(account.getTicket) },
    network.world,
  );
  const editor = new Editor(byId("editor"), doc, namedAwareness(provider, names));
  const dialog = shareDialog(account, room, names);

  byId("room").hidden = false;
  byId("room-name").textContent = document.title = room;
  byId("me").textContent = `You are ${account.handle}.`;

  provider.addEventListener("error", async () => {
    if (provider.error?.name !== "Conflict") return;
    // What is stored still has the edits under the client id that somebody else used too.
    await stored.clearData();
    stored = new IndexeddbPersistence(`${account.did} ${room}`, doc);
  });
  const showSaved = () => {
    const [state, words] = savedMark(provider, network.isCut);
    byId("saved").dataset.state = state;
    byId("saved").textContent = words;
  };
  const showRole = () => {
    const { role } = provider;
    const isReader = role === "reader";
    editor.mayWrite = role === "owner" || role === "writer";
    byId("share-button").hidden = role !== "owner";
    byId("notice").hidden = !isReader;
    byId("notice").textContent = isReader ? "You may read this document, and not edit it." : "";
    if (role !== "owner") dialog.close();
  };
  const showDenied = () => {
    const { status, error } = provider;
    const isDenied = status === "denied";
    byId("denied").hidden = !isDenied;
    byId("editor").hidden = isDenied;
    if (!isDenied) return;
    const [title, words] = DENIALS[error!.code ?? error!.name] ??
      ["You can't go in", error!.message];
    byId("denied").querySelector("h2")!.textContent = title;
    byId("denied").querySelector("p")!.textContent = words;
  };
  const showPeers = async () => {
    const dids = [...new Set(provider.peers.map(({ did }) => did))];
    const faces = await Promise.all(dids.map(async (did) => face(did, await names.find(did))));
    byId("peers").replaceChildren(...faces.map((each) => make("li", {}, each)));
  };
  provider.addEventListener("status", showSaved);
  provider.addEventListener("status", showDenied);
  provider.addEventListener("saved", showSaved);
  provider.addEventListener("role", showRole);
  provider.addEventListener("peers", showPeers);
  for (const show of [showSaved, showRole, showPeers]) show();

  byId("share-button").onclick = () => dialog.showModal();
  byId("denied").querySelector("button")!.onclick = () => provider.connect();
  byId("cut").onclick = () => {
    network.isCut = !network.isCut;
    byId("cut").ariaPressed = String(network.isCut);
    byId("cut").querySelector(".label")!.textContent = network.isCut
      ? "Mend the network"
      : "Cut the network";
    showSaved();
  };
  globalThis.addEventListener("beforeunload", (event) => {
    if (provider.hasUnsavedChanges && provider.status === "online") event.preventDefault();
  });
  editor.focus();
}

/** How it stands with what was typed, and in words. */
function savedMark(
  { status, hasUnsavedChanges }: TesseraProvider,
  isCut: boolean,
): [string, string] {
  const kept = hasUnsavedChanges ? "what you type is kept on this device" : "nothing is unsaved";
  if (status === "denied") return ["denied", "No access"];
  if (status === "offline" || isCut) return ["offline", `Offline – ${kept}`];
  if (status === "connecting") return ["saving", "Connecting …"];
  return hasUnsavedChanges ? ["saving", "Saving …"] : ["saved", "Saved"];
}
