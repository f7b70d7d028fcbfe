import { defaultKeymap } from "@codemirror/commands";
import { Compartment, EditorState } from "@codemirror/state";
import { drawSelection, EditorView, keymap, placeholder } from "@codemirror/view";
import { yCollab, yUndoManagerKeymap } from "y-codemirror.next";
import { type Doc, UndoManager } from "yjs";
import type { Awareness } from "y-protocols/awareness";

/** The editor of a room's text. */
export class Editor {
  readonly #view: EditorView;
  readonly #mayWrite = new Compartment();

  constructor(parent: HTMLElement, doc: Doc, awareness: Awareness) {
    const text = doc.getText("text");
    const undoManager = new UndoManager(text);
    this.#view = new EditorView({
      parent,
      state: EditorState.create({
        doc: text.toString(),
        extensions: [
          drawSelection(),
          EditorView.lineWrapping,
          placeholder("Write something …"),
          keymap.of([...yUndoManagerKeymap, ...defaultKeymap]),
          EditorView.contentAttributes.of({ "aria-label": "Document", spellcheck: "true" }),
          this.#mayWrite.of(permission(false)),
          yCollab(text, awareness, { undoManager }),
        ],
      }),
    });
  }

  /** Whether what is typed is taken. */
  set mayWrite(mayWrite: boolean) {
    this.#view.dispatch({ effects: this.#mayWrite.reconfigure(permission(mayWrite)) });
  }

  focus(): void {
    this.#view.focus();
  }
}

function permission(mayWrite: boolean) {
  const attributes = EditorView.contentAttributes.of({ "aria-readonly": String(!mayWrite) });
  return [EditorState.readOnly.of(!mayWrite), attributes];
}
