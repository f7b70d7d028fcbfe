/// <reference lib="dom" />
/** A page with a stock editor, bound to a room by its stock binding: `?endpoint=&editor=&did=&token=`. */
import { Editor as Tiptap } from "@tiptap/core";
import Collaboration from "@tiptap/extension-collaboration";
import CollaborationCaret from "@tiptap/extension-collaboration-caret";
import StarterKit from "@tiptap/starter-kit";
import { EditorView as CodeMirror } from "@codemirror/view";
import { baseKeymap } from "prosemirror-commands";
import { keymap } from "prosemirror-keymap";
import { schema } from "prosemirror-schema-basic";
import { EditorState } from "prosemirror-state";
import { EditorView as ProseMirror } from "prosemirror-view";
import { yCollab } from "y-codemirror.next";
import { initProseMirrorDoc, yCursorPlugin, ySyncPlugin, yUndoPlugin } from "y-prosemirror";
import * as Y from "yjs";
import { devToken, TesseraProvider } from "../../../src/client/mod.ts";

const { endpoint, editor, did, token } = Object.fromEntries(new URLSearchParams(location.search));
const doc = new Y.Doc();
const provider = new TesseraProvider(editor!, doc, {
  endpoint: endpoint!,
  getTicket: devToken(token!, did!),
});
const user = { name: did!, color: "#17708a" };
provider.awareness.setLocalStateField("user", user);
const element = document.body.appendChild(document.createElement("div"));

const editors: Record<string, () => void> = {
  codemirror() {
    const text = doc.getText("codemirror");
    const extensions = [yCollab(text, provider.awareness)];
    new CodeMirror({ parent: element, doc: text.toString(), extensions });
  },
  prosemirror() {
    const fragment = doc.getXmlFragment("prosemirror");
    const { doc: start, mapping } = initProseMirrorDoc(fragment, schema);
    const plugins = [
      ySyncPlugin(fragment, { mapping }),
      yCursorPlugin(provider.awareness),
      yUndoPlugin(),
      keymap(baseKeymap),
    ];
    new ProseMirror(element, { state: EditorState.create({ doc: start, schema, plugins }) });
  },
  tiptap() {
    new Tiptap({
      element,
      extensions: [
        StarterKit.configure({ undoRedo: false }),
        Collaboration.configure({ document: doc, field: "tiptap" }),
        CollaborationCaret.configure({ provider, user }),
      ],
    });
  },
};
const show = () => {
  const isSaved = provider.status === "online" && !provider.hasUnsavedChanges;
  document.documentElement.dataset.state = isSaved ? "saved" : "unsaved";
};
provider.addEventListener("status", show);
provider.addEventListener("saved", show);
editors[editor!]!();
