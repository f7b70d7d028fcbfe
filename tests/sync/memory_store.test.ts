import { testRoomStore } from "../store/contract.ts";
import { MemoryStore } from "./memory_store.ts";

testRoomStore("the tests' own store in memory", () => {
  const store = new MemoryStore();
  return Promise.resolve({
    ours: store,
    theirs: store,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
});
