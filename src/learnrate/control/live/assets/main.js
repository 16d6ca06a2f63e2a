// Where the page begins.
import { enter, http } from "./http.js";
import { mount } from "./view.js";

const refused = await enter().catch(() => null);
const view = mount(document.body, http);
document.body.learnrate = view; // for scripts of the reader
if (refused) view.connected({ lost: true, reason: refused });
