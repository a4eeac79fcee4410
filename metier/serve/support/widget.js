// A chat on a customer's own site: <script src="https://HOST/widget.js" async></script> puts it there, or
// <metier-chat> stands where it shall be. No inline script or style, no eval: it works under a strict content security
// policy (script-src and connect-src need the service's origin). Colours are CSS variables, see docs/support-widget.md.
(() => {
  "use strict";
  const script = document.currentScript;
  const home = new URL(script ? script.src : location.href).origin;
  const WORDS = {
    en: {
      open: "Open the chat", close: "Close the chat", title: "Questions?", write: "Your message", send: "Send",
      you: "You", bot: "Answer", agent: "Person", sources: "Sources", person: "Talk to a person",
      lost: "No connection. Your message is kept here and will be sent.", again: "Send again", late: "One moment …",
      good: "This helped", bad: "This did not help", thanks: "Thank you.",
      right: "What would have been right? (optional)", new: "New message", fresh: "New conversation",
      slow: "Too many messages; please wait a moment.", waiting: "Waiting for a person. Place in the queue: ",
      leave: "Do not wait", types: " is typing …", rate: "How was it?", of: " of 5",
    },
    zh: {
      open: "打开对话", close: "关闭对话", title: "有问题？", write: "请输入消息", send: "发送",
      you: "您", bot: "回答", agent: "人工", sources: "来源", person: "转接人工",
      lost: "连接中断。您的消息已保留，稍后会发送。", again: "重新发送", late: "请稍候……",
      good: "有帮助", bad: "没有帮助", thanks: "谢谢。",
      right: "正确的回答是什么？（可不填）", new: "新消息", fresh: "新对话",
      slow: "消息过于频繁，请稍候。", waiting: "正在等待人工，排队位置：",
      leave: "不再等待", types: "正在输入……", rate: "您对本次服务满意吗？", of: " 分（满分 5 分）",
    },
  };
  const SHEET = `
    :host { --accent: var(--metier-accent, #0b6b63); --on-accent: var(--metier-on-accent, #fff);
      --paper: var(--metier-paper, #fff); --ink: var(--metier-ink, #1c2326); --quiet: var(--metier-quiet, #5a6468);
      --line: var(--metier-line, #d9dedf); --mine: var(--metier-mine, #e3efed); --radius: var(--metier-radius, 14px);
      position: fixed; inset-block-end: 16px; inset-inline-end: 16px; z-index: 2147483000;
      font: 15px/1.5 var(--metier-font, system-ui, sans-serif); color: var(--ink); }
    :host([inline]) { position: static; display: block; }
    * { box-sizing: border-box; }
    button { font: inherit; color: inherit; cursor: pointer; border: 1px solid var(--line); background: var(--paper);
      border-radius: 999px; padding: 6px 14px; min-height: 36px; }
    button:focus-visible, textarea:focus-visible, input:focus-visible, a:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
    .main, .send { background: var(--accent); color: var(--on-accent); border-color: transparent; }
    .main { min-height: 52px; padding: 0 20px; box-shadow: 0 4px 18px rgb(0 0 0 / .22); font-weight: 600; }
    section { display: flex; flex-direction: column; width: min(400px, calc(100vw - 32px));
      height: min(620px, calc(100dvh - 32px)); background: var(--paper); border: 1px solid var(--line);
      border-radius: var(--radius); overflow: hidden; box-shadow: 0 8px 32px rgb(0 0 0 / .22); }
    :host([inline]) section { width: 100%; box-shadow: none; }
    [hidden] { display: none !important; }
    header { display: flex; align-items: center; gap: 8px; padding: 10px 14px; background: var(--accent);
      color: var(--on-accent); }
    h2 { font-size: 1.05em; margin: 0; flex: 1; }
    header button { background: transparent; border-color: currentColor; }
    ol { list-style: none; margin: 0; padding: 14px; flex: 1; overflow-y: auto; display: flex; flex-direction: column;
      gap: 10px; overscroll-behavior: contain; }
    li { max-width: 88%; padding: 9px 13px; border: 1px solid var(--line); border-radius: var(--radius);
      white-space: pre-wrap; overflow-wrap: anywhere; align-self: flex-start; }
    li.visitor { align-self: flex-end; background: var(--mine); border-color: transparent; }
    li.system { align-self: center; border: 0; color: var(--quiet); font-size: .92em; padding: 2px 8px; }
    li.unsent { opacity: .65; }
    .who { display: block; font-size: .8em; color: var(--quiet); }
    .row { display: flex; flex-wrap: wrap; gap: 6px; margin-top: 8px; white-space: normal; }
    .state button { font-size: 1em; min-height: 30px; padding: 2px 10px; }
    li.system .row { justify-content: center; }
    .row input { flex: 1; min-width: 0; font: inherit; font-size: .93em; color: inherit; background: var(--paper);
      border: 1px solid var(--line); border-radius: 12px; padding: 4px 12px; }
    .row button { font-size: .93em; min-height: 34px; padding: 4px 12px; text-align: start; border-radius: 12px; }
    details { margin-top: 6px; font-size: .88em; color: var(--quiet); white-space: normal; }
    details p { margin: 4px 0; }
    blockquote { margin: 2px 0 6px; padding-inline-start: 8px; border-inline-start: 3px solid var(--line); }
    .state { padding: 4px 14px; font-size: .9em; color: var(--quiet); min-height: 1.9em; }
    form { display: flex; gap: 8px; padding: 10px; border-top: 1px solid var(--line); align-items: flex-end; }
    textarea { flex: 1; font: inherit; color: inherit; background: var(--paper); border: 1px solid var(--line);
      border-radius: 12px; padding: 8px 11px; resize: none; max-height: 140px; min-height: 40px; font-size: 16px; }
    @media (max-width: 480px) { :host([open]:not([inline])) { inset: 0; }
      :host([open]:not([inline])) section { width: 100vw; height: 100dvh; border-radius: 0; border: 0; } }
    @media (prefers-color-scheme: dark) { :host(:not([light])) { --paper: var(--metier-paper, #14191b);
      --ink: var(--metier-ink, #e8edee); --quiet: var(--metier-quiet, #a2adb1); --line: var(--metier-line, #374045);
      --mine: var(--metier-mine, #15403b); } }
    @media (prefers-reduced-motion: no-preference) { ol { scroll-behavior: smooth; } }`;

  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "text") node.textContent = value;
      else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value !== false && value != null) node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.filter(Boolean));
    return node;
  };
  const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
  const fresh = () => crypto.randomUUID ? crypto.randomUUID().replaceAll("-", "")
    : [...crypto.getRandomValues(new Uint8Array(16))].map((one) => one.toString(16).padStart(2, "0")).join("");

  class Chat extends HTMLElement {
    static observedAttributes = ["lang"];

    connectedCallback() {
      if (this.shadowRoot) return;
      this.home = this.getAttribute("src") || home;
      this.root = this.attachShadow({ mode: "open" });
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(SHEET);
      this.root.adoptedStyleSheets = [sheet];
      this.shown = new Map();
      this.last = 0;
      this.unsent = [];
      this.draw();
      this.restore();
      if (this.hasAttribute("inline")) this.toggle(true, false);
    }

    disconnectedCallback() { this.stopped = true; this.socket?.close(); }

    get words() {
      const asked = this.getAttribute("lang") || document.documentElement.lang || navigator.language || "en";
      return asked.toLowerCase().startsWith("zh") ? WORDS.zh : WORDS.en;
    }

    draw() {
      const words = this.words;
      this.button = make("button", { class: "main", type: "button", "aria-expanded": "false", text: words.title,
        "aria-label": words.open, onclick: () => this.toggle(true) });
      this.log = make("ol", { role: "log", "aria-live": "polite", "aria-label": words.title, tabindex: "0" });
      this.state = make("div", { class: "state", role: "status" });
      this.field = make("textarea", { rows: "1", "aria-label": words.write, placeholder: words.write, maxlength: "4000",
        enterkeyhint: "send", onkeydown: (event) => this.key(event), oninput: () => this.grow() });
      const form = make("form", { onsubmit: (event) => { event.preventDefault(); this.submit(); } }, this.field,
        make("button", { class: "send", type: "submit", text: words.send }));
      this.panel = make("section", { role: "dialog", "aria-label": words.title, hidden: true },
        make("header", {}, make("h2", { text: this.getAttribute("title") || words.title }),
          make("button", { type: "button", text: words.fresh, onclick: () => this.begin() }),
          this.hasAttribute("inline") ? null
            : make("button", { type: "button", text: "✕", "aria-label": words.close, onclick: () => this.toggle(false) })),
        this.log, this.state, form);
      this.panel.addEventListener("keydown", (event) => {
        if (event.key === "Escape" && !this.hasAttribute("inline")) this.toggle(false);
      });
      this.root.replaceChildren(this.button, this.panel);
    }

    toggle(open, focus = true) {
      this.toggleAttribute("open", open);
      this.panel.hidden = !open;
      this.button.hidden = open;
      this.button.setAttribute("aria-expanded", String(open));
      if (open && !this.live) this.follow();
      if (focus) (open ? this.field : this.button).focus();
    }

    key(event) {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); this.submit(); }
    }

    grow() { this.field.rows = Math.min(5, this.field.value.split("\n").length); }

    // -- what is kept in the browser: the conversation's id and token, nothing that was said
    restore() {
      try { Object.assign(this, JSON.parse(localStorage.getItem(this.kept) || "{}")); } catch { /* a private window */ }
    }

    get kept() { return `metier-chat ${this.home}`; }

    keep() {
      try { localStorage.setItem(this.kept, JSON.stringify({ talk: this.talk, token: this.token })); } catch { /* likewise */ }
    }

    begin() {
      this.socket?.close();
      Object.assign(this, { talk: "", token: "", last: 0, unsent: [], position: 0 });
      this.shown.clear();
      this.log.replaceChildren();
      this.state.textContent = "";
      try { localStorage.removeItem(this.kept); } catch { /* likewise */ }
      this.field.focus();
    }

    // -- talking
    async ask(path, body, method = body ? "POST" : "GET") {
      const headers = { ...(this.token ? { Authorization: `Bearer ${this.token}` } : {}),
        ...(body ? { "Content-Type": "application/json" } : {}) };
      const answer = await fetch(`${this.home}/v1/chat/conversations${path}`,
        { method, headers, body: body && JSON.stringify(body), credentials: "omit", mode: "cors" });
      const found = await answer.json().catch(() => ({}));
      if (!answer.ok) {
        throw Object.assign(new Error(found.detail || answer.statusText),
          { status: answer.status, after: Number(answer.headers.get("Retry-After")) || 0 });
      }
      return found;
    }

    async open() {
      if (this.talk) return;
      this.opening ??= this.ask("", { language: this.words === WORDS.zh ? "zh" : "en" }).then((found) => {
        this.talk = found.id;
        this.token = found.token;
        this.keep();
        this.follow();
      }).finally(() => { this.opening = null; });
      await this.opening;
    }

    submit(text = this.field.value, label = text) {
      if (!text.trim()) return;
      if (text === this.field.value) { this.field.value = ""; this.grow(); }
      const one = { id: fresh(), text, node: this.line({ author: "visitor", text: label }, "unsent") };
      this.unsent.push(one);
      this.send();
    }

    async send() {
      if (this.sending) return;
      this.sending = true;
      while (this.unsent.length && !this.stopped) {
        const one = this.unsent[0];
        try {
          this.state.textContent = this.words.late;
          await this.open();
          const found = await this.ask(`/${this.talk}/messages`, { id: one.id, text: one.text });
          this.unsent.shift();
          one.node.classList.remove("unsent");
          this.shown.set(found.message.number, one.node);
          this.place();
          for (const reply of found.replies) this.show(reply);
        } catch (error) {
          if (error.status === 404) { this.begin(); continue; }
          if (error.status && error.status !== 429 && error.status < 500) {
            this.unsent.shift();
            this.state.textContent = error.message;
            continue;
          }
          this.state.textContent = error.status === 429 ? this.words.slow : this.words.lost;
          await pause(error.after || 3);
        }
      }
      this.sending = false;
    }

    // -- listening: a socket where there is one, else asking again and again
    async follow() {
      if (!this.talk || this.live) return;
      this.live = true;
      while (!this.stopped && this.talk) {
        const talk = this.talk;
        try {
          const found = await this.ask(`/${talk}/messages?after=${this.last}`);
          for (const message of found.messages) this.show(message);
          await this.listen(talk);
        } catch (error) {
          if (error.status === 404) { this.begin(); break; }
          await pause(error.after || 3);
        }
      }
      this.live = false;
    }

    listen(talk) {
      return new Promise((done) => {
        const socket = new WebSocket(`${this.home.replace(/^http/, "ws")}/v1/chat/conversations/${talk}/live`);
        this.socket = socket;
        socket.onopen = () => socket.send(JSON.stringify({ token: this.token, after: this.last }));
        socket.onmessage = ({ data }) => this.heard(JSON.parse(data));
        socket.onclose = () => pause(1).then(done);
      });
    }

    heard(event) {
      if (event.event === "message" || event.event === "reply") this.show(event.message);
      if (event.event === "typing") this.typing(event.name);
      if (event.event === "state") {
        this.place(event.position);
        if (event.state === "resolved") this.rate();
      }
    }

    place(position = this.position || 0) {
      this.position = position;
      this.state.replaceChildren(...(position ? [`${this.words.waiting}${position} `,
        make("button", { type: "button", text: this.words.leave, onclick: () => this.leave() })] : []));
    }

    async leave() {
      try { await this.ask(`/${this.talk}/acts`, { act: "leave" }); } catch (error) { this.state.textContent = error.message; }
    }

    typing(name) {
      this.state.textContent = `${name}${this.words.types}`;
      clearTimeout(this.pausing);
      this.pausing = setTimeout(() => { if (this.state.textContent.endsWith(this.words.types)) this.place(); }, 5000);
    }

    // -- showing: every text is text; nothing that anybody wrote becomes markup
    line(message, extra = "") {
      const words = this.words;
      const who = { visitor: words.you, bot: words.bot, agent: message.name || words.agent }[message.author];
      const node = make("li", { class: `${message.author} ${extra}` }, who ? make("span", { class: "who", text: who }) : null,
        make("span", { text: message.text }));
      const down = this.isDown();
      this.log.append(node);
      if (down || message.author === "visitor") node.scrollIntoView({ block: "end" });
      return node;
    }

    isDown() { return this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 80; }

    show(message) {
      this.last = Math.max(this.last, message.number);
      if (this.shown.has(message.number)) return;
      if (message.author === "visitor" && this.unsent.some((one) => one.id === message.id)) return;
      if (message.author === "visitor" && message.text.startsWith("/")) return;
      const down = this.isDown();
      const node = this.line(message);
      if (message.author === "agent") this.place();
      this.shown.set(message.number, node);
      const reply = message.reply || {};
      if (reply.citations?.length) node.append(this.sources(reply.citations));
      if (reply.buttons?.length) {
        node.append(make("div", { class: "row" }, ...reply.buttons.map((one) =>
          make("button", { type: "button", text: one.label, onclick: () => this.submit(one.message, one.label) }))));
      }
      if (["template", "search", "written"].includes(message.tier) && !reply.waiting) node.append(this.thumbs(message));
      if (down) node.scrollIntoView({ block: "end" });
    }

    sources(citations) {
      return make("details", {}, make("summary", { text: `${this.words.sources} (${citations.length})` }),
        ...citations.flatMap((one, at) => [make("p", { text: `[${at + 1}] ${one.title}${one.page ? `, ${one.page}` : ""}` }),
          make("blockquote", { text: one.quote })]));
    }

    // -- how it was: once a conversation with a person is over
    async rate() {
      const talk = this.talk;
      if (this.rated === talk) return;
      this.rated = talk;
      const found = await this.ask(`/${talk}`).catch(() => ({ rating: 1 }));
      if (found.rating || talk !== this.talk) return;
      const row = make("div", { class: "row", role: "group", "aria-label": this.words.rate });
      const say = async (rating) => {
        try {
          await this.ask(`/${talk}/rating`, { rating });
          row.replaceChildren(make("span", { text: this.words.thanks }));
        } catch (error) { this.state.textContent = error.message; }
      };
      row.append(...[1, 2, 3, 4, 5].map((one) => make("button", { type: "button", text: `${one} ★`,
        "aria-label": `${one}${this.words.of}`, onclick: () => say(one) })));
      this.line({ author: "system", text: this.words.rate }).append(row);
    }

    thumbs(message) {
      const row = make("div", { class: "row" });
      const say = async (verdict, correction) => {
        try {
          await this.ask(`/${this.talk}/messages/${message.number}/verdict`, correction ? { verdict, correction } : { verdict });
          row.replaceChildren(make("span", { text: this.words.thanks }), ...(verdict === "wrong" ? [better()] : []));
        } catch (error) { this.state.textContent = error.message; }
      };
      const better = () => {
        const words = this.words.right;
        const field = make("input", { type: "text", maxlength: "4000", "aria-label": words, placeholder: words });
        const send = () => { if (field.value.trim()) say("corrected", field.value.trim()); };
        field.addEventListener("keydown", (event) => {
          if (event.key === "Enter" && !event.isComposing) { event.preventDefault(); send(); }
        });
        return make("span", { class: "row" }, field, make("button", { type: "button", text: this.words.send, onclick: send }));
      };
      row.append(make("button", { type: "button", text: this.words.good, onclick: () => say("right") }),
        make("button", { type: "button", text: this.words.bad, onclick: () => say("wrong") }));
      return row;
    }
  }

  if (!customElements.get("metier-chat")) customElements.define("metier-chat", Chat);
  const place = () => {
    if (script && !document.querySelector("metier-chat")) {
      document.body.append(make("metier-chat", { lang: script.dataset.lang, title: script.dataset.title }));
    }
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", place);
  else place();
})();
