import { testRoomStore } from "../store/contract.ts";
import { MemoryStore } from "./memory_store.ts";

testRoomStore("the tests' own store in memory", () => {
  const ours = new MemoryStore();
  const theirs = ours.another();
  return Promise.resolve({ ours, theirs, [Symbol.asyncDispose]: () => theirs.close() });
});
