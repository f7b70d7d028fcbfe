import type { Account } from "./account.ts";
import { byId, face, make } from "./elements.ts";
import type { Names } from "./names.ts";

/** What `getRoom` tells the owner of a room. */
interface RoomState {
  visibility: string;
  members: { did: string; role: string }[];
}

/** Some, not one: a link is passed on. */
const INVITE_USES = 20;
/** A week, in seconds. */
const INVITE_LIFE = 604_800;

/** The dialog in which its owner says who may do what in a room. */
export function shareDialog(account: Account, room: string, names: Names): HTMLDialogElement {
  const dialog = byId<HTMLDialogElement>("share");
  const form = byId<HTMLFormElement>("add-member");
  const visibility = byId<HTMLSelectElement>("visibility");
  const link = byId<HTMLInputElement>("invite-link");
  const alert = byId("share-error");

  /** Does something about the room, and shows what has become of it; or says why it could not. */
  const act = async (deed?: () => Promise<unknown>) => {
    alert.hidden = true;
    try {
      await deed?.();
      await show(await account.call<RoomState>("getRoom", { room }));
    } catch (error) {
      alert.textContent = (error as Error).message;
      alert.hidden = false;
    }
  };
  const change = (method: string, input: object) =>
    act(() => account.call(method, {}, { room, ...input }));

  const show = async ({ members, visibility: chosen }: RoomState) => {
    visibility.value = chosen;
    const rows = members.map(async ({ did, role }) => {
      const name = await names.find(did);
      const roles = make("select", { ariaLabel: `What ${name} may do` });
      roles.append(
        new Option("may edit", "writer", false, role === "writer"),
        new Option("may read", "reader", false, role === "reader"),
      );
      roles.onchange = () => change("putMember", { member: did, role: roles.value });
      const remove = make(
        "button",
        { className: "remove link", ariaLabel: `Remove ${name}` },
        "Remove",
      );
      remove.onclick = () => change("removeMember", { member: did });
      return make(
        "li",
        {},
        face(did, name),
        make("span", { className: "who" }, name),
        roles,
        remove,
      );
    });
    byId("members").replaceChildren(...await Promise.all(rows));
  };

  form.onsubmit = (event) => {
    event.preventDefault();
    const { handle, role } = Object.fromEntries(new FormData(form)) as Record<string, string>;
    act(async () => {
      const member = await account.resolve(handle!.trim().replace(/^@/, ""));
      await account.call("putMember", {}, { room, member, role });
      form.reset();
    });
  };
  visibility.onchange = () => change("setVisibility", { visibility: visibility.value });
  byId("invite").onclick = () =>
    act(async () => {
      const terms = { role: "writer", uses: INVITE_USES, expiresIn: INVITE_LIFE };
      const { secret } = await account.call<{ secret: string }>("createInvite", {}, {
        room,
        ...terms,
      });
      // After the #, which browsers send to nobody; and the page takes it out of the address at once.
      link.value = `${location.origin}/demo/#${new URLSearchParams({ room, invite: secret })}`;
      link.hidden = false;
      link.select();
      await navigator.clipboard?.writeText(link.value).catch(() => {}); // then it is there to be copied
    });
  dialog.addEventListener("toggle", () => {
    link.hidden = true;
    link.value = "";
    if (dialog.open) act();
  });
  return dialog;
}
