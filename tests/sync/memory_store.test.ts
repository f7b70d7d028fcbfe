import { testRoomStore } from "../store/contract.ts";
import { MemoryStore } from "./memory_store.ts";

testRoomStore("the tests' own store in memory", () => {
  const ours = new MemoryStore();
  const theirs = ours.another();
  const change = (key: Deno.KvKey) => Promise.resolve(ours.disk.touch(key));
  return Promise.resolve({ ours, theirs, change, [Symbol.asyncDispose]: () => theirs.close() });
});
