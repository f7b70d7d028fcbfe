import { WebsocketProvider } from "y-websocket";
import * as Y from "yjs";

const service = "http://localhost:33603";
const room = "notes";

async function join(did: string) {
  const answer = await fetch(`${service}/xrpc/chat.roomy.v0.sync.getTicket`, {
    method: "POST",
    headers: { authorization: "Bearer let-me-in" },
    body: JSON.stringify({ room, did }),
  });
  const { protocols } = await answer.json();
  const doc = new Y.Doc();
  const address = `${service.replace("http", "ws")}/sync`;
  const provider = new WebsocketProvider(address, encodeURIComponent(room), doc, {
    protocols,
    disableBc: true,
  });
  await new Promise((resolve) => provider.once("sync", resolve));
  return { provider, doc, text: doc.getText("text") };
}

const alice = await join("did:web:alice.example");
const bob = await join("did:web:bob.example");
bob.text.observe(() => console.log("bob reads:", bob.text.toString()));
alice.text.insert(0, `Hello, it is ${new Date().toLocaleTimeString()}.\n`);

setTimeout(() => {
  for (const { provider, doc } of [alice, bob]) {
    provider.destroy();
    doc.destroy();
  }
}, 500);
