import { colorOf } from "./names.ts";

/** An element of the page, by its id. @throws {Error} it is not there */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`There is no #${id}`);
  return element as T;
}

/** A new element. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<HTMLElementTagNameMap[K]>,
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Somebody's initial, in their colour. */
export function face(did: string, name: string): HTMLElement {
  const element = make("span", { className: "face", title: name }, [...name][0] ?? "?");
  element.style.setProperty("--color", colorOf(did));
  return element;
}
