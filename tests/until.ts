/** Waits until `condition` holds, a turn of the event loop at a time: for work that nobody awaits. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 5_000; turn++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  throw new Error("It never came to pass");
}
