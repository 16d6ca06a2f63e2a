// The part of the page by which a run is changed: every change is shown before it is applied, and confirmed afterwards.
import { count, number } from "./format.js";

const DELAY = 250;

/** A text of the server as a sentence. */
function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}

export class Controls {
  constructor(part, transport, { windowOf, previewed, confirmStop }) {
    Object.assign(this, { part, transport, windowOf, previewed, confirmStop });
    this.turn = 0;
    this.allowed = false;
    this.listen();
  }

  /** Say whether changes are possible, and why not. */
  allow(state) {
    this.allowed = state.can_change && !state.lost;
    this.part("controls").disabled = !this.allowed;
    this.part("undo").disabled = !(this.allowed && state.undoable > 0);
    const note = this.part("panel-note");
    note.textContent = state.lost ? "" : state.status === "finished" ? "The run has ended." : state.refusal ? sentence(state.refusal) : state.can_change ? "" : "This page is for reading only.";
    note.hidden = !note.textContent;
    const length = this.part("length");
    if (!length.value && document.activeElement !== length && state.update !== null) {
      const left = state.total === null ? state.update : state.total - state.update;
      length.placeholder = String(Math.max(1, Math.round(Math.min(left, Math.max(10, (state.total ?? state.update) / 10)))));
    }
  }

  say(text, kind = "") {
    this.part("message").textContent = text;
    this.part("message").dataset.kind = kind;
  }

  /** Show what a change would lead to; only the answer to the last question counts. */
  async preview(change) {
    this.turn += 1;
    const turn = this.turn;
    if (!change || !this.allowed) {
      this.previewed(null);
      return null;
    }
    const [from, to] = this.windowOf();
    const answer = await this.transport.preview(change, Math.floor(from), Math.ceil(to)).catch((error) => ({ error: String(error.message) }));
    if (turn !== this.turn) return null;
    this.previewed(answer.error ? null : answer);
    return answer;
  }

  async apply(change) {
    this.turn += 1;
    this.previewed(null);
    this.say("Waiting for the next update …");
    const why = this.part("why").value.trim();
    let answer;
    try {
      answer = await this.transport.change(change, why);
    } catch (error) {
      this.say(`${error.message}. Look at the list below: the change may have arrived.`, "bad");
      return false;
    }
    if (answer.error) {
      this.say(answer.error, "bad");
      return false;
    }
    this.part("why").value = "";
    if (answer.waiting) this.say(`Asked for: ${answer.text}. The run has made no update since; the list shows it when it is applied.`);
    else if (answer.kind === "stop") this.say(`Stop accepted: the run ends before update ${count(answer.update)}.`, "good");
    else this.say(`Applied from update ${count(answer.update)} on.`, "good");
    return true;
  }

  listen() {
    for (const button of this.part("controls").querySelectorAll("[data-factor]")) {
      const change = { kind: "scale", factor: Number(button.dataset.factor) };
      button.addEventListener("pointerenter", () => this.preview(change));
      button.addEventListener("focus", () => this.preview(change));
      button.addEventListener("pointerleave", () => this.preview(null));
      button.addEventListener("blur", () => this.preview(null));
      button.addEventListener("click", () => this.apply(change));
    }
    this.listenScale();
    this.listenSchedule();
    this.listenCooldown();
    this.part("undo").addEventListener("click", () => this.apply({ kind: "undo" }));
    this.part("undo").addEventListener("pointerenter", () => this.part("undo").disabled || this.preview({ kind: "undo" }));
    this.part("undo").addEventListener("pointerleave", () => this.preview(null));
    this.part("stop").addEventListener("click", async () => {
      if (await this.confirmStop()) await this.apply({ kind: "stop" });
    });
  }

  listenScale() {
    const field = this.part("factor");
    const change = () => ({ kind: "scale", factor: Number(field.value.trim().replace(",", ".")) });
    this.later(field, async () => {
      if (!field.value.trim()) return this.preview(null);
      const answer = await this.preview(change());
      if (answer) this.say(answer.error ?? `Preview: ${answer.text}.`, answer.error ? "bad" : "");
      return undefined;
    });
    this.part("scale-form").addEventListener("submit", async (event) => {
      event.preventDefault();
      if (field.value.trim() && (await this.apply(change()))) field.value = "";
    });
  }

  listenSchedule() {
    const text = this.part("schedule");
    const form = this.part("schedule-form");
    const change = () => ({ kind: "replace", schedule: text.value, begins: form.querySelector("input[type=radio]:checked").value });
    const check = async () => {
      if (!text.value.trim()) {
        this.showFault(null);
        this.part("apply").disabled = true;
        return this.preview(null);
      }
      const answer = await this.preview(change());
      if (!answer) return undefined;
      this.showFault(answer.error ? answer : null);
      this.part("apply").disabled = Boolean(answer.error);
      if (!answer.error) this.say(answer.total === null ? "Preview: no end." : `Preview: ends at update ${count(answer.total)}.`);
      return undefined;
    };
    text.addEventListener("input", () => (this.part("apply").disabled = true));
    this.later(text, check);
    form.addEventListener("change", (event) => event.target.type === "radio" && check());
    text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.metaKey || event.ctrlKey) && !this.part("apply").disabled) form.requestSubmit();
    });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (this.part("apply").disabled || !(await this.apply(change()))) return;
      text.value = "";
      this.part("apply").disabled = true;
    });
  }

  /** Mark the column of an error in the text. */
  showFault(answer) {
    const fault = this.part("fault");
    const text = this.part("schedule");
    fault.hidden = answer === null;
    text.setAttribute("aria-invalid", String(answer !== null));
    fault.replaceChildren();
    if (answer === null) return;
    this.say("");
    const sentence = document.createElement("span");
    sentence.textContent = answer.column ? `Column ${answer.column}: ${answer.error}` : answer.error;
    if (answer.column) {
      // Columns count characters, and a string of JavaScript may have two units for one.
      const characters = [...text.value];
      const mark = document.createElement("mark");
      mark.textContent = characters[answer.column - 1] ?? " ";
      fault.append(characters.slice(0, answer.column - 1).join(""), mark, characters.slice(answer.column).join(""));
    }
    fault.append(sentence);
  }

  listenCooldown() {
    const [length, shape, form] = [this.part("length"), this.part("shape"), this.part("cooldown-form")];
    const change = () => ({ kind: "cooldown", length: Number(length.value.trim().replaceAll(",", "") || length.placeholder), shape: shape.value });
    const check = async () => {
      const answer = await this.preview(change());
      if (answer) this.say(answer.error ?? `Preview: ends at update ${count(answer.total)}, at an LR of ${number(answer.lr.at(-1))}.`, answer.error ? "bad" : "");
    };
    this.later(length, check);
    shape.addEventListener("change", check);
    const button = form.querySelector("button");
    button.addEventListener("pointerenter", () => this.preview(change()));
    button.addEventListener("pointerleave", () => this.preview(null));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (await this.apply(change())) length.value = "";
    });
  }

  later(field, act) {
    let timer = null;
    field.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(act, DELAY);
    });
  }

  /** Forget what was typed but not applied. */
  drop() {
    this.preview(null);
    this.say("");
  }
}
