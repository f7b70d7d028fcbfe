/// <reference lib="dom" />
/** A page with a stock editor, bound to a room by its stock binding: `?endpoint=&editor=&did=&token=`. */
import { Editor as Tiptap } from "npm:@tiptap/core@3.31.3";
import Collaboration from "npm:@tiptap/extension-collaboration@3.31.3";
import CollaborationCaret from "npm:@tiptap/extension-collaboration-caret@3.31.3";
import StarterKit from "npm:@tiptap/starter-kit@3.31.3";
import { EditorView as CodeMirror } from "npm:@codemirror/view@^6.43.15";
import { baseKeymap } from "npm:prosemirror-commands@^1.7.2";
import { keymap } from "npm:prosemirror-keymap@^1.2.3";
import { schema } from "npm:prosemirror-schema-basic@^1.2.5";
import { EditorState } from "npm:prosemirror-state@^1.4.4";
import { EditorView as ProseMirror } from "npm:prosemirror-view@^1.42.9";
import { yCollab } from "npm:y-codemirror.next@^0.3.6";
import {
  initProseMirrorDoc,
  yCursorPlugin,
  ySyncPlugin,
  yUndoPlugin,
} from "npm:y-prosemirror@^1.3.7";
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
