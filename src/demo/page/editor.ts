import { defaultKeymap } from "npm:@codemirror/commands@^6.10.0";
import { Compartment, EditorState } from "npm:@codemirror/state@^6.7.6";
import { drawSelection, EditorView, keymap, placeholder } from "npm:@codemirror/view@^6.43.15";
import { yCollab, yUndoManagerKeymap } from "npm:y-codemirror.next@^0.3.6";
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
