import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { applyAwarenessUpdate, Awareness, encodeAwarenessUpdate } from "y-protocols/awareness";
import * as syncProtocol from "y-protocols/sync";
import * as Y from "yjs";
import type { Role } from "../../src/access/policy.ts";
import type { Premise } from "../../src/store/room_store.ts";
import type { Peer } from "../../src/sync/peer.ts";
import type { Rooms } from "../../src/sync/rooms.ts";
import type { Seat } from "../../src/sync/room.ts";

const SYNC = 0;
const AWARENESS = 1;
const AUTH = 2;
const QUERY_AWARENESS = 3;
const SYNC_STATUS = 102;

/** A place in a room, or a line to one, on which nobody changes a role. */
type Line = Pick<Seat, "receive"> & { leave(): void; become?: Seat["become"] };

/**
 * A client without a network: it speaks to a room through y-protocols' own code, keeps what it heard
 * and answers step 1 as every client does.
 */
export class TestPeer implements Peer {
  /** Bytes that its network has not taken yet: more than none for a slow one. */
  buffered = 0;
  readonly doc = new Y.Doc();
  readonly text = this.doc.getText("text");
  readonly awareness = new Awareness(this.doc);
  /** What it was sent: `step1`, `step2`, `update`, `awareness`, `ack 7`, `denied` or `role reader`. */
  readonly heard: string[] = [];
  closed: { code: number; reason: string } | null = null;
  #seat: Line | null = null;
  #news = Promise.withResolvers<void>();

  constructor(
    readonly did: string,
    readonly role: Role = "writer",
    readonly provisional = false,
  ) {
    // y-protocols' awareness renews itself on a timer of its own, which no test here needs.
    clearInterval(this.awareness._checkInterval as unknown as number);
    this.doc.on("update", (update: Uint8Array, origin: unknown) => {
      if (origin !== this) this.sendUpdate(update);
    });
  }

  /** Joins, and asks for the document. */
  join(rooms: Rooms, room: string): this {
    this.#seat = rooms.join(room, this);
    this.askForAll();
    return this;
  }

  /** Takes a place that somebody else has got for it. */
  sit(seat: Line): void {
    this.#seat = seat;
  }

  /** Joins over an open socket, and asks for the document. */
  joinOver(socket: WebSocket): this {
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.send(new Uint8Array(data));
    socket.onclose = ({ code, reason }) => this.close(code, reason);
    this.#seat = { receive: (frame) => socket.send(frame.slice()), leave: () => socket.close() };
    this.askForAll();
    return this;
  }

  /** Resolves once it has heard this. */
  async hears(what: string): Promise<void> {
    while (!this.heard.includes(what)) await this.#news.promise;
  }

  /** Resolves once it has been told that the line is closed. */
  async isClosed(): Promise<{ code: number; reason: string }> {
    while (this.closed === null) await this.#news.promise;
    return this.closed;
  }

  /** Its role is changed, or confirmed. */
  become(role: Role | null, premise?: Premise): void {
    this.#seat?.become?.(role, premise);
  }

  leave(): void {
    this.#seat?.leave();
    this.#seat = null;
  }

  /** Sends bytes as they are. */
  sendRaw(frame: Uint8Array): void {
    this.#seat?.receive(frame);
  }

  sendUpdate(update: Uint8Array): void {
    this.#sendSync((encoder) => syncProtocol.writeUpdate(encoder, update));
  }

  /** Step 1: "send me what I lack". */
  askForAll(): void {
    this.#sendSync((encoder) => syncProtocol.writeSyncStep1(encoder, this.doc));
  }

  /** Asks to hear when all of the above is durable. */
  probe(n: number): void {
    this.sendRaw(encoding.encode((encoder) => {
      encoding.writeVarUint(encoder, SYNC_STATUS);
      encoding.writeVarUint8Array(encoder, new Uint8Array([n]));
    }));
  }

  /** Tells its own presence, or repeats that of others. */
  announce(clientIds = [this.doc.clientID]): void {
    this.sendRaw(awarenessFrame(encodeAwarenessUpdate(this.awareness, clientIds)));
  }

  queryAwareness(): void {
    this.sendRaw(new Uint8Array([QUERY_AWARENESS]));
  }

  /** Who it sees, by name. */
  get sees(): string[] {
    return [...this.awareness.getStates().values()].map(({ name }) => name).sort();
  }

  send(frame: Uint8Array): void {
    this.#hear(frame);
    this.#tell();
  }

  /** Wakes whoever waits for something to be heard. */
  #tell(): void {
    this.#news.resolve();
    this.#news = Promise.withResolvers();
  }

  #hear(frame: Uint8Array): void {
    const decoder = decoding.createDecoder(frame);
    switch (decoding.readVarUint(decoder)) {
      case SYNC: {
        this.heard.push(["step1", "step2", "update"][frame[1]!]!);
        const answer = encoding.createEncoder();
        encoding.writeVarUint(answer, SYNC);
        syncProtocol.readSyncMessage(decoder, answer, this.doc, this);
        if (encoding.length(answer) > 1) this.sendRaw(encoding.toUint8Array(answer));
        return;
      }
      case AWARENESS:
        this.heard.push("awareness");
        return applyAwarenessUpdate(this.awareness, decoding.readVarUint8Array(decoder), this);
      case AUTH: {
        const isDenied = decoding.readVarUint(decoder) === 0;
        const text = decoding.readVarString(decoder);
        this.heard.push(isDenied ? "denied" : `role ${text}`);
        return;
      }
      case SYNC_STATUS:
        this.heard.push(`ack ${decoding.readVarUint8Array(decoder)[0]}`);
        return;
      case QUERY_AWARENESS:
        return this.announce([...this.awareness.getStates().keys()]);
      default:
        throw new Error(`the room sent a frame of unknown type ${frame[0]}`);
    }
  }

  close(code: number, reason: string): void {
    this.closed = { code, reason };
    this.#seat = null;
    this.#tell();
  }

  #sendSync(write: (encoder: encoding.Encoder) => void): void {
    this.sendRaw(encoding.encode((encoder) => {
      encoding.writeVarUint(encoder, SYNC);
      write(encoder);
    }));
  }
}

/** An awareness frame around entries in y-protocols' form. */
export function awarenessFrame(entries: Uint8Array): Uint8Array {
  return encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, AWARENESS);
    encoding.writeVarUint8Array(encoder, entries);
  });
}

/** A sync frame: 0 is step 1, 1 is step 2, 2 is an update. */
export function syncFrame(step: number, payload: Uint8Array): Uint8Array {
  return encoding.encode((encoder) => {
    encoding.writeVarUint(encoder, SYNC);
    encoding.writeVarUint(encoder, step);
    encoding.writeVarUint8Array(encoder, payload);
  });
}

/** The updates of some edits on a document of its own, one for each. */
export function updatesOf(...edits: ((text: Y.Text) => void)[]): Uint8Array[] {
  const doc = new Y.Doc();
  const updates: Uint8Array[] = [];
  doc.on("update", (update) => updates.push(update));
  for (const edit of edits) edit(doc.getText("text"));
  return updates;
}

/** An update that can be read, and makes Yjs throw when it is applied: it builds on its own future. */
export function poison(): Uint8Array {
  const client = 42;
  return encoding.encode((encoder) => {
    for (const n of [1, 1, client, 0]) encoding.writeVarUint(encoder, n); // one client, one struct
    encoding.writeUint8(encoder, 0b1000_0100); // a string with an origin,
    for (const n of [client, 1_000]) encoding.writeVarUint(encoder, n); // which is far ahead of it
    encoding.writeVarString(encoder, "x");
    encoding.writeVarUint(encoder, 0); // nothing deleted
  });
}
