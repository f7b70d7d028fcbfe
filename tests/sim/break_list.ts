/** A deliberate fault: what is replaced by what, in which file. */
export const BREAKS: { name: string; file: string; replace: string; by: string }[] = [
  {
    name: "acknowledge before the commit",
    file: "src/sync/room.ts",
    replace: `await this.#commit(batch.filter((arrival) => arrival.type === "update"));`,
    by: `this.#commit(batch.filter((arrival) => arrival.type === "update")).catch(() => {});`,
  },
  {
    name: "clear what has arrived after the await",
    file: "src/sync/room.ts",
    replace: "for (const arrival of done) {",
    by: "this.#arrivals.clear();\n        for (const arrival of done) {",
  },
  {
    name: "skip the load gate",
    file: "src/sync/stored_document.ts",
    replace: "this.#document ??= await this.#read(this.#log);",
    by: "this.#document ??= new Document();",
  },
  {
    name: "drop what other instances stored",
    file: "src/sync/room.ts",
    replace: "    await this.#merge(missed);\n  }",
    by: "  }",
  },
  {
    name: "acknowledge an update with a gap",
    file: "src/sync/room.ts",
    replace: "if (isTorn) return",
    by: "if (false) return",
  },
  {
    name: "keep an update that waits for its parents",
    file: "src/sync/document.ts",
    replace: "    store.pendingStructs = null;\n    store.pendingDs = null;\n",
    by: "",
  },
  {
    name: "leave the document spoilt by a bad update",
    file: "src/sync/room.ts",
    replace: "    await this.#rebuild();\n    if (updates.length > 1)",
    by: "    if (updates.length > 1)",
  },
  {
    name: "fold the log into an empty snapshot",
    file: "src/sync/stored_document.ts",
    replace: "this.#log.compact(snapshot)",
    by: "this.#log.compact(new Document().state())",
  },
  {
    name: "forget what a slow peer has missed",
    file: "src/sync/delivery.ts",
    replace: "if (at === null) return true;",
    by: "if (at === null) return true;\n    version = at.version ?? version;",
  },
  {
    name: "send slow peers everything",
    file: "src/sync/broadcast.ts",
    replace: "if (member === author || !member.delivery.live) continue;",
    by: "if (member === author) continue;",
  },
  {
    name: "send updates to who has not asked for the document",
    file: "src/sync/delivery.ts",
    replace: "return this.#hasAsked && !this.behind;",
    by: "return !this.behind;",
  },
  {
    name: "tell other instances of presence once, whether they hear it or not",
    file: "src/sync/announcer.ts",
    replace: "if (!this.#latest.has(room)) this.#latest.set(room, present);",
    by: "",
  },
  {
    name: "forget to say who has gone",
    file: "src/sync/presence.ts",
    replace:
      "      client.state = GONE;\n      this.#tell(clientId, client);\n      isNews = true;\n",
    by: "      client.state = GONE;\n",
  },
  {
    name: "commit what came when its sender might write",
    file: "src/sync/room.ts",
    replace: "this.#arrivals.take(weight, (update) => this.#isAllowed(update));",
    by: "this.#arrivals.take(weight, () => true);",
  },
  {
    name: "commit whatever has changed since roles were asked for",
    file: "src/sync/stored_document.ts",
    replace: "this.#log.append(update, premise)",
    by: "this.#log.append(update)",
  },
  {
    name: "believe a role for good",
    file: "src/sync/member.ts",
    replace: "peer.provisional ? REFUTED : null",
    by: "null",
  },
  {
    name: "keep what was refused in the document",
    file: "src/sync/room.ts",
    replace: "    await this.#rebuild();\n    await this.#commit(updates.filter",
    by: "    await this.#commit(updates.filter",
  },
  {
    name: "let go of who leaves while it waits",
    file: "src/sync/room.ts",
    replace:
      `} while (this.#arrivals.has((arrival) => "member" in arrival && arrival.member === member));`,
    by: "} while (false);",
  },
  {
    name: "show what was missed bit by bit",
    file: "src/sync/room.ts",
    replace: "if (missed.length > 0) this.#broadcast.publish(mergeUpdates(missed));",
    by: "for (const update of missed) this.#broadcast.publish(update);",
  },
  {
    name: "go on with the old log under a document that was read anew",
    file: "src/sync/stored_document.ts",
    replace: "    this.#log = log; //",
    by: "    //",
  },
  {
    name: "acknowledge an update when its first slice is durable",
    file: "src/sync/arrivals.ts",
    replace: "        held.add(arrival.member);",
    by: "",
  },
  {
    name: "forget all but the first slice",
    file: "src/sync/arrivals.ts",
    replace: "if (isDue && arrival.read!.slices.done) {",
    by: "if (isDue) {",
  },
  {
    name: "tell who comes back of nobody anew",
    file: "src/sync/presence.ts",
    replace: "for (const client of this.#clients.values()) client.told = told;",
    by: "",
  },
];
